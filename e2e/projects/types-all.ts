/** The same beside Yjs and the server, whose own types are those of ES modules. */
import { CowriteProvider } from '@cowrite/client';
import { createServer } from '@cowrite/server';
import { storageContract } from '@cowrite/server/storage/contract';
import * as Y from 'yjs';

export const doc: Y.Doc = new Y.Doc();
export const provider = new CowriteProvider({
  url: 'ws://host/ws',
  room: 'room',
  doc,
  connect: false,
});
export const started = createServer({ port: 0 }).then(({ url }): string => url);
export { storageContract };
