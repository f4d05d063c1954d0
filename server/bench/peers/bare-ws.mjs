// The floor: what arrives goes to everybody else of the same path. No document, no checks, no store.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const rooms = new Map();
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false });
sockets.on('connection', (socket, { url }) => {
  let room = rooms.get(url);
  if (room === undefined) {
    room = new Set();
    rooms.set(url, room);
  }
  room.add(socket);
  socket.on('message', (data) => {
    for (const other of room) if (other !== socket) other.send(data, { binary: true });
  });
  socket.on('close', () => {
    room.delete(socket);
    if (room.size === 0) rooms.delete(url);
  });
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));
