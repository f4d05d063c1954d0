// Hocuspocus as it comes: documents in memory, no extensions.
import { Server } from '@hocuspocus/server';

const server = new Server({
  port: Number(process.env.PORT),
  address: '127.0.0.1',
  quiet: true,
  stopOnSignals: false,
});
await server.listen();
console.log('ready');
