/**
 * Clients that are back with the same document: at once to be seen, though their clocks say that
 * others have seen it all. y-protocols renews a state every 15 s, so whoever is seen only then fails.
 */

import { CowriteProvider } from '@cowrite/client';
import {
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
} from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { encodeAwareness, readAwareness } from '../src/awareness.js';
import { RawClient, socketUrl, startServer, synced, yWebsocket } from './support.js';

/** Milliseconds in which a busy machine shows somebody; a renewal comes after 15 s. */
const AT_ONCE = 10_000;

async function startTwo(): Promise<CowriteServer[]> {
  const [storage, hub, presence] = [new MemoryStorage(), new MemoryHub(), new PresenceHub()];
  const start = () =>
    startServer({
      storage: new MemoryStorage(storage),
      redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(presence) },
    });
  return [await start(), await start()];
}

function cowrite(server: CowriteServer, doc = new Y.Doc(), awareness?: Awareness): CowriteProvider {
  const provider = new CowriteProvider({
    url: socketUrl(server),
    room: 'room',
    doc,
    WebSocket,
    awarenessInterval: 0,
    ...(awareness && { awareness }),
  });
  onTestFinished(() => provider.destroy());
  return provider;
}

/** Resolves once somebody is shown so; rejects after {@link AT_ONCE}. */
async function shows(
  awareness: Awareness,
  client: number,
  name: string | undefined,
): Promise<void> {
  const isSo = () => awareness.getStates().get(client)?.name === name;
  if (isSo()) return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${client} is not shown as ${name}`)), AT_ONCE);
    const look = () => {
      if (!isSo()) return;
      clearTimeout(timer);
      awareness.off('change', look);
      resolve();
    };
    awareness.on('change', look);
  });
}

/** Moves so often that others remember a high clock. */
function move(awareness: Awareness, name: string): void {
  for (let i = 0; i < 30; i++) awareness.setLocalState({ name: `${name} ${i}` });
  awareness.setLocalState({ name });
}

describe('[AWR] who is back', () => {
  it('[AWR-8] a new y-websocket provider for the same document is seen at once, also by those on another instance', async () => {
    const [one, two] = await startTwo();
    const watchers = [
      yWebsocket(one!, 'room').awareness,
      cowrite(one!).awareness,
      cowrite(two!).awareness,
    ];
    const doc = new Y.Doc();
    const first = yWebsocket(one!, 'room', doc);
    await synced(first);
    move(first.awareness, 'first');
    await Promise.all(watchers.map((watcher) => shows(watcher, doc.clientID, 'first')));
    first.destroy();
    await Promise.all(watchers.map((watcher) => shows(watcher, doc.clientID, undefined)));
    for (const [i, server] of [one!, two!, one!].entries()) {
      const again = yWebsocket(server, 'room', doc);
      again.awareness.setLocalState({ name: `again ${i}` });
      await Promise.all(watchers.map((watcher) => shows(watcher, doc.clientID, `again ${i}`)));
      again.awareness.setLocalState({ name: `moved ${i}` });
      await Promise.all(watchers.map((watcher) => shows(watcher, doc.clientID, `moved ${i}`)));
      // It shows itself as it is, and not as others were told.
      expect(again.awareness.getLocalState()).toEqual({ name: `moved ${i}` });
      again.destroy();
      await Promise.all(watchers.map((watcher) => shows(watcher, doc.clientID, undefined)));
    }
  });

  it('[AWR-8] a y-websocket client that reconnects is seen at once, though nothing of it has changed', async () => {
    const [one, two] = await startTwo();
    const watchers = [yWebsocket(one!, 'room').awareness, cowrite(two!).awareness];
    const ada = yWebsocket(one!, 'room');
    await synced(ada);
    move(ada.awareness, 'Ada');
    await Promise.all(watchers.map((watcher) => shows(watcher, ada.doc.clientID, 'Ada')));
    for (let i = 0; i < 3; i++) {
      ada.disconnect();
      await Promise.all(watchers.map((watcher) => shows(watcher, ada.doc.clientID, undefined)));
      ada.connect();
      await Promise.all(watchers.map((watcher) => shows(watcher, ada.doc.clientID, 'Ada')));
    }
    expect(ada.awareness.getLocalState()).toEqual({ name: 'Ada' });
  });

  it('[CLI-43] a new CowriteProvider for the same document is seen at once, by whatever clients', async () => {
    const [one, two] = await startTwo();
    const watchers = [yWebsocket(one!, 'room').awareness, cowrite(two!).awareness];
    const doc = new Y.Doc();
    for (let i = 0; i < 3; i++) {
      const provider = cowrite(one!, doc);
      move(provider.awareness, `page ${i}`);
      await Promise.all(watchers.map((watcher) => shows(watcher, doc.clientID, `page ${i}`)));
      provider.destroy();
      await Promise.all(watchers.map((watcher) => shows(watcher, doc.clientID, undefined)));
    }
  });

  it('[AWR-8] a client that does not know better is shown with clocks that others take, and told of them', async () => {
    const server = await startServer();
    const watcher = yWebsocket(server, 'room');
    await synced(watcher);
    const say = (client: RawClient, clock: number, name: string) => {
      const state = new TextEncoder().encode(JSON.stringify({ name }));
      client.send({ type: 'awareness', update: encodeAwareness([{ client: 7, clock, state }]) });
    };
    const first = await RawClient.connect(server, 'room');
    await first.join(new Y.Doc());
    say(first, 40, 'before');
    await shows(watcher.awareness, 7, 'before');
    first.socket.close();
    await shows(watcher.awareness, 7, undefined);
    const again = await RawClient.connect(server, 'room');
    await again.join(new Y.Doc());
    for (const clock of [0, 1, 2]) {
      say(again, clock, `at ${clock}`);
      await shows(watcher.awareness, 7, `at ${clock}`);
    }
    // Older than what it has said itself.
    say(again, 1, 'an echo');
    say(again, 3, 'at 3');
    await shows(watcher.awareness, 7, 'at 3');
    const told = again.received
      .flatMap((message) => (message.type === 'awareness' ? readAwareness(message.update) : []))
      .find(({ client, state }) => client === 7 && state.length === 4);
    expect(told?.clock).toBe(41);
  });

  it('[AWR-9] one that is back before its old socket is known to be dead is seen once that does not answer, and an echo changes nothing', async () => {
    const server = await startServer();
    const watcher = yWebsocket(server, 'room');
    await synced(watcher);
    const awareness = new Awareness(new Y.Doc());
    onTestFinished(() => awareness.destroy());
    move(awareness, 'Ada');
    const own = () => encodeAwarenessUpdate(awareness, [awareness.clientID]);
    const dead = await RawClient.connect(server, 'room');
    await dead.join(new Y.Doc());
    dead.send({ type: 'awareness', update: own() });
    await shows(watcher.awareness, awareness.clientID, 'Ada');
    // Somebody without a state sends back what they are told: the holder answers, and keeps its id.
    const echoing = await RawClient.connect(server, 'room');
    await echoing.join(new Y.Doc());
    echoing.send({ type: 'awareness', update: own() });
    awareness.setLocalState({ name: 'moved' });
    dead.send({ type: 'awareness', update: own() });
    await shows(watcher.awareness, awareness.clientID, 'moved');
    // Now it answers nothing any more.
    dead.socket.pause();
    const back = await RawClient.connect(server, 'room');
    await back.join(new Y.Doc());
    back.send({ type: 'awareness', update: own() });
    await back.until(() =>
      back.received
        .flatMap((message) => (message.type === 'awareness' ? readAwareness(message.update) : []))
        .some(({ client, state }) => client === awareness.clientID && state.length === 4),
    );
    await shows(watcher.awareness, awareness.clientID, 'moved');
    expect(echoing.closed).toBeUndefined();
  });
});
