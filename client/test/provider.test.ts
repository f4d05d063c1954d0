/**
 * The provider against real sockets and a server that does what the test says.
 *
 * What depends on time or on the order of events is tested with fake sockets,
 * beside the source; this is for what `ws` and TCP may do differently.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import {
  CLOSE,
  CowriteProvider,
  type CowriteProviderEvents,
  type CowriteProviderOptions,
} from '../src/index.js';
import { ScriptedServer } from './scripted-server.js';

let server: ScriptedServer;
const providers: CowriteProvider[] = [];

beforeEach(async () => {
  server = await ScriptedServer.start();
});

afterEach(async () => {
  for (const provider of providers.splice(0)) provider.destroy();
  await server.stop();
});

function connect(options: Partial<CowriteProviderOptions> = {}): CowriteProvider {
  // A wait of no time at all: the waits themselves are tested with a clock.
  const provider = new CowriteProvider({
    url: server.url,
    room: 'room',
    WebSocket,
    random: () => 0,
    ...options,
  });
  providers.push(provider);
  return provider;
}

function next<Name extends keyof CowriteProviderEvents>(
  provider: CowriteProvider,
  name: Name,
): Promise<CowriteProviderEvents[Name]> {
  return new Promise((resolve) => provider.once(name, resolve));
}

const textOf = (doc: Y.Doc) => doc.getText('t').toString();

test('opens the room under the url, with its name and the params encoded', async () => {
  connect({ room: 'a/b room', params: { token: 'x&y' } });
  const connection = await server.accept();
  expect(connection.path).toBe('/ws/a%2Fb%20room?token=x%26y');
});

test('receives what the room holds, and sends what it lacks', async () => {
  const room = new Y.Doc();
  room.getText('t').insert(0, 'world');
  const provider = connect();
  provider.doc.getText('t').insert(0, 'hello ');
  const connection = await server.accept();
  await Promise.all([connection.sync(room), provider.whenSynced()]);
  expect(['hello world', 'worldhello ']).toContain(textOf(room));
  expect(textOf(provider.doc)).toBe(textOf(room));
  provider.doc.getText('t').insert(0, '!');
  const { update } = await connection.take('update');
  Y.applyUpdate(room, update);
  expect(textOf(room)).toBe(textOf(provider.doc));
});

test('reports saved what the server reports, and only then', async () => {
  const provider = connect();
  provider.doc.getText('t').insert(0, 'offline');
  expect(provider.unsaved).toBe(true);
  const connection = await server.accept();
  await Promise.all([connection.sync(new Y.Doc()), provider.whenSynced()]);
  expect(provider.unsaved).toBe(true);
  connection.send({ type: 'saved', count: 1 });
  await next(provider, 'saved');
  expect(provider.unsaved).toBe(false);
  expect(provider.lastSavedAt).toBeInstanceOf(Date);
});

test('edits made offline arrive with the next connection, and are saved with it', async () => {
  const room = new Y.Doc();
  const provider = connect();
  const first = await server.accept();
  await Promise.all([first.sync(room), provider.whenSynced()]);
  provider.disconnect();
  await first.closed;
  provider.doc.getText('t').insert(0, 'offline');
  expect(provider.unsaved).toBe(true);
  provider.connect();
  const second = await server.accept();
  await second.sync(room);
  expect(textOf(room)).toBe('offline');
  second.send({ type: 'saved', count: 1 });
  await provider.whenSaved();
});

test('an edit that was under way when the server died is unsaved until it is sent again', async () => {
  const provider = connect();
  const first = await server.accept();
  await Promise.all([first.sync(new Y.Doc()), provider.whenSynced()]);
  provider.doc.getText('t').insert(0, 'lost?');
  await first.take('update');
  const lost = next(provider, 'synced');
  first.terminate();
  expect(await lost).toBe(false);
  expect(provider.unsaved).toBe(true);
  const restored = new Y.Doc();
  const second = await server.accept();
  await second.sync(restored);
  expect(textOf(restored)).toBe('lost?');
  second.send({ type: 'saved', count: 1 });
  await provider.whenSaved();
});

test.each([
  [CLOSE.restarting, 'retrying', undefined],
  [CLOSE.tryAgainLater, 'retrying', undefined],
  [CLOSE.internal, 'retrying', undefined],
  [CLOSE.forbidden, 'refused', 'forbidden'],
  [CLOSE.deleted, 'refused', 'deleted'],
  [CLOSE.tooLarge, 'refused', 'too-large'],
  [CLOSE.malformed, 'refused', 'protocol'],
])('[CLI-4] after close code %i it is %s', async (code, expected, reason) => {
  const provider = connect();
  const connection = await server.accept();
  await Promise.all([connection.sync(new Y.Doc()), provider.whenSynced()]);
  const change = next(provider, 'status');
  connection.close(code, 'why');
  const { status, refusal } = await change;
  expect(status).toBe(expected);
  expect(refusal).toEqual(reason === undefined ? null : { reason, code, message: 'why' });
});

test('a server that is not there is an error event and a retry', async () => {
  const { url } = server;
  await server.stop();
  const provider = connect({ url });
  const failed = next(provider, 'connection-error');
  const changed = next(provider, 'status');
  const { error } = await failed;
  expect(error.message).toContain('ECONNREFUSED');
  const { status } = await changed;
  expect(status).toBe('retrying');
  server = await ScriptedServer.start();
});

test('a frame of no use is an error event and a retry', async () => {
  const provider = connect();
  const first = await server.accept();
  await Promise.all([first.sync(new Y.Doc()), provider.whenSynced()]);
  const failed = next(provider, 'connection-error');
  first.sendRaw('a text frame');
  await failed;
  expect(await first.closed).toBe(4000);
  await server.accept();
});

test('a server of another protocol is served, and never believed to have saved', async () => {
  await server.stop();
  server = await ScriptedServer.start((offered) => [...offered].at(-1) ?? false);
  const provider = connect({ protocols: ['other'] });
  const connection = await server.accept();
  await Promise.all([connection.sync(new Y.Doc()), provider.whenSynced()]);
  provider.doc.getText('t').insert(0, 'x');
  await connection.take('update');
  connection.send({ type: 'saved', count: 2 });
  const synced = new Promise((resolve) => provider.doc.once('update', resolve));
  const later = new Y.Doc();
  later.getMap('m').set('later', true);
  connection.send({ type: 'update', update: Y.encodeStateAsUpdate(later) });
  await synced;
  expect(provider.unsaved).toBe(true);
});

describe('presence', () => {
  test('is seen again after a reconnect by those who saw it go', async () => {
    const provider = connect();
    provider.awareness.setLocalState({ name: 'Ada' });
    const other = new Awareness(new Y.Doc());
    const { clientID } = provider.awareness;
    const first = await server.accept();
    applyAwarenessUpdate(other, (await first.take('awareness')).update, 'server');
    expect(other.getStates().get(clientID)).toEqual({ name: 'Ada' });
    first.terminate();
    applyAwarenessUpdate(other, encodeAwarenessUpdate(other, [clientID], new Map()), 'server');
    expect(other.getStates().has(clientID)).toBe(false);
    const second = await server.accept();
    applyAwarenessUpdate(other, (await second.take('awareness')).update, 'server');
    expect(other.getStates().get(clientID)).toEqual({ name: 'Ada' });
    other.destroy();
  });

  test('is taken back before destroy closes the socket', async () => {
    const provider = connect();
    const other = new Awareness(new Y.Doc());
    const connection = await server.accept();
    await Promise.all([connection.sync(new Y.Doc()), provider.whenSynced()]);
    applyAwarenessUpdate(other, (await connection.take('awareness')).update, 'server');
    provider.destroy();
    applyAwarenessUpdate(other, (await connection.take('awareness')).update, 'server');
    expect(other.getStates().has(provider.awareness.clientID)).toBe(false);
    expect(await connection.closed).toBe(1000);
    other.destroy();
  });
});

describe('sockets', () => {
  test('50 reconnects leave one', async () => {
    const provider = connect();
    const room = new Y.Doc();
    for (let round = 0; round < 50; round++) {
      const connection = await server.accept();
      await Promise.all([connection.sync(room), provider.whenSynced()]);
      if (round % 2 === 0) {
        const lost = next(provider, 'synced');
        connection.terminate();
        await lost;
      } else {
        provider.disconnect();
        provider.connect();
        await connection.closed;
      }
    }
    const connection = await server.accept();
    await Promise.all([connection.sync(room), provider.whenSynced()]);
    expect(server.open).toBe(1);
    expect(server.connections.length).toBe(51);
    provider.destroy();
    await connection.closed;
    expect(server.open).toBe(0);
  });

  test('that were never opened are not left behind by connect and disconnect', async () => {
    const provider = connect();
    for (let round = 0; round < 20; round++) {
      provider.disconnect();
      provider.connect();
    }
    await new Promise<void>((resolve) => {
      provider.on('status', ({ status }) => {
        if (status === 'syncing') resolve();
      });
    });
    await Promise.all(server.connections.slice(0, -1).map(({ closed }) => closed));
    expect(server.open).toBe(1);
  });
});
