/** What plain HTTP answers to, and whether it is for everybody or for the administrator. */
export const ROUTES: Readonly<Record<string, 'everybody' | 'administrator' | 'the door'>> = {
  'GET /health': 'everybody',
  'GET /health/live': 'everybody',
  'GET /health/ready': 'everybody',
  'GET /metrics': 'administrator',
  'POST /api/drain': 'administrator',
  'GET /api/rooms': 'administrator',
  'GET /api/rooms/:room': 'administrator',
  'POST /api/rooms/:room': 'administrator',
  'DELETE /api/rooms/:room': 'administrator',
  'POST /api/rooms/:room/revive': 'administrator',
  'GET /api/rooms/:room/document': 'administrator',
  'PUT /api/rooms/:room/document': 'administrator',
  'POST /api/rooms/:room/updates': 'administrator',
  'POST /api/rooms/:room/copy': 'administrator',
  'POST /api/rooms/:room/compact': 'administrator',
  'GET /api/rooms/:room/presence': 'administrator',
  'GET /api/rooms/:room/events': 'administrator',
  'POST /api/rooms/:room/kick': 'administrator',
  'POST /api/users/:id/recheck': 'administrator',
  'GET /api/backup': 'administrator',
  // What is published anyway. The page asks for the token, and brings it to the routes above.
  'GET /api/openapi.json': 'everybody',
  'GET /api/docs': 'everybody',
  'GET /admin': 'everybody',
  'GET /admin/*': 'everybody',
  // What is no route is told to whoever asks.
  'ALL /api/*': 'everybody',
  // The files of a built web app, which is public.
  'ALL /assets/*': 'everybody',
  // Who asks whether an upgrade would be carried out is asked what an upgrade is.
  'ALL /ws/*': 'the door',
  'GET /ws/*': 'the door',
  'ALL /*': 'everybody',
  'GET /assets/*': 'everybody',
  'GET /*': 'everybody',
};
