/** An application in CommonJS. */
const { CowriteClient, CowriteProvider } = require('@cowrite/client');
const { CLOSE } = require('@cowrite/client/protocol');
const hooks = require('@cowrite/client/react');
const { createServer } = require('@cowrite/server');
const { WebSocket } = require('ws');
const Y = require('yjs');

async function main() {
  const server = await createServer({ port: 0, storage: 'memory:', logger: 'warn' });
  const url = `${server.url.replace('http', 'ws')}/ws`;
  const doc = new Y.Doc();
  const writer = new CowriteProvider({ url, room: 'minutes', doc, WebSocket });
  // Of one Yjs only: another one would throw, or leave the type out.
  doc.getMap('page').set('title', new Y.Text('hello'));
  await writer.whenSaved();
  const client = new CowriteClient({ url, WebSocket });
  const { provider } = client.open('minutes');
  await provider.whenSynced();
  // Of others more than a name is shown only once a part that is loaded later is there.
  const seen = new Promise((resolve) => {
    provider.awareness.on('change', () => {
      const states = [...provider.awareness.getStates().values()];
      if (states.some((state) => state.at === 7)) resolve();
    });
  });
  writer.awareness.setLocalState({ at: 7 });
  await seen;
  const text = provider.doc.getMap('page').get('title');
  console.log(`${text}, ${text instanceof Y.Text}, ${CLOSE.deleted}, ${typeof hooks.useDoc}`);
  client.destroy();
  writer.destroy();
  await server.close();
}

void main();
