import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { applyReceived } from './document.js';

describe('[CLI-9] an update of the server', () => {
  it('on which Yjs throws does not silence the document', async () => {
    // A nested map with text as its entry, the deletion of the text's middle, and that of the map.
    const map = Uint8Array.from([
      1, 2, 9, 0, 7, 1, 1, 108, 1, 0x24, 0, 9, 0, 1, 107, 3, 97, 98, 99, 0,
    ]);
    const middle = Uint8Array.from([0, 1, 9, 1, 2, 1]);
    const whole = Uint8Array.from([0, 1, 9, 1, 0, 1]);
    const doc = new Y.Doc();
    const uncaught = new Promise<Error>((resolve) => {
      const others = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const other of others) process.on('uncaughtException', other);
        resolve(error);
      });
    });
    for (const update of [map, middle, whole]) applyReceived(doc, update, 'server');
    expect((await uncaught).message).toBe('Unexpected case');
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    doc.getText('t').insert(0, 'still heard');
    expect(updates.length).toBe(1);
  });
});
