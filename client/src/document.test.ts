import { createRequire } from 'node:module';
import { describe, expect, it, vi } from 'vitest';
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { FakeNetwork } from '../test/fake-socket.js';
import { CowriteClient } from './client.js';
import { applyReceived } from './document.js';
import { CowriteProvider } from './provider.js';

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

describe('[PKG-10] a document that this package cannot work with is refused with the cause', () => {
  const options = { url: 'ws://host/ws', room: 'room', WebSocket: new FakeNetwork().WebSocket };

  it('of another copy of Yjs, as a document, by its awareness, or in a shared room', () => {
    const told = vi.spyOn(console, 'error').mockReturnValue();
    const other: typeof Y = createRequire(import.meta.url)('yjs');
    // Yjs says so itself, where nobody looks.
    expect(told).toHaveBeenCalledWith(expect.stringContaining('Yjs was already imported'));
    told.mockRestore();
    const doc = new other.Doc();
    expect(doc).not.toBeInstanceOf(Y.Doc);
    const message = /another copy of Yjs.*npm ls yjs.*import.*require/;
    expect(() => new CowriteProvider({ ...options, doc })).toThrow(message);
    const awareness = new Awareness(doc);
    expect(() => new CowriteProvider({ ...options, awareness })).toThrow(message);
    awareness.destroy();
    const client = new CowriteClient(options);
    expect(() => client.open('room', { doc })).toThrow(message);
    expect(client.rooms).toEqual([]);
    client.destroy();
  });

  it('of Yjs 14, also where it is the only one', () => {
    class Doc14 extends Y.Doc {
      readonly cleanupFormatting = true;
    }
    expect(() => new CowriteProvider({ ...options, doc: new Doc14() })).toThrow(
      /of Yjs 14: have Yjs 13/,
    );
  });

  it('is no document at all', () => {
    const doc = {} as Y.Doc;
    expect(() => new CowriteProvider({ ...options, doc })).toThrow(TypeError);
  });

  it('of this copy, also of a class of the application, is taken', () => {
    class Own extends Y.Doc {}
    const doc = new Own();
    const provider = new CowriteProvider({ ...options, doc });
    expect(provider.doc).toBe(doc);
    provider.destroy();
  });
});
