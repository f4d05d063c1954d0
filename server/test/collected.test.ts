/** Documents whose clients keep what is deleted, at a server that does not. */
import { CowriteProvider } from '@cowrite/client';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { call, governed } from './administrator.js';
import { socketUrl } from './support.js';

it('[CLI-63] what is deleted in a document with gc: false stays with the clients that have it once the room is compacted, and all write on', async () => {
  const server = await governed();
  const open = async () => {
    const doc = new Y.Doc({ gc: false });
    const provider = new CowriteProvider({ url: socketUrl(server), room: 'room', doc, WebSocket });
    onTestFinished(() => provider.destroy());
    await provider.whenSynced();
    return { doc, provider, text: doc.getText('t') };
  };
  const writer = await open();
  writer.text.insert(0, 'secret plan');
  const before = Y.snapshot(writer.doc);
  writer.text.delete(0, 'secret '.length);
  await writer.provider.whenSaved();
  const restored = (doc: Y.Doc) => Y.createDocFromSnapshot(doc, before).getText('t').toString();

  const early = await open();
  expect(restored(early.doc)).toBe('secret plan');
  expect((await call(server, 'rooms/room/compact', { method: 'POST' }))[0]).toBe(200);
  const late = await open();
  expect(late.text.toString()).toBe('plan');
  expect(restored(late.doc)).toBe('plan');

  // Those who have it keep it, also over a connection that brings the compacted document.
  writer.provider.disconnect();
  writer.provider.connect();
  await writer.provider.whenSynced();
  expect(restored(writer.doc)).toBe('secret plan');
  expect(writer.provider.unsaved).toBe(false);
  late.text.insert(4, 's');
  await late.provider.whenSaved();
  await expect.poll(() => writer.text.toString()).toBe('plans');
  await expect.poll(() => early.text.toString()).toBe('plans');
});
