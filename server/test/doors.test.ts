/** Every way in, listed: a new one fails here until somebody has decided who may use it. */
import {
  decodeMessage,
  encodeMessage,
  MalformedMessage,
  type Message,
} from '@cowrite/client/protocol';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Administrator } from '../src/administrator.js';
import { Api, type ApiOptions } from '../src/api/api.js';
import { httpApp } from '../src/http.js';
import { ROUTES } from './routes.js';
import { served, startServer, temporaryFolder, typed } from './support.js';
import { enter, presence, SECRET, token } from './visitors.js';

/**
 * What a client may send, and what becomes of it when its session may only read.
 * `never`: from a client no server takes it.
 */
const MESSAGES: Readonly<Record<string, 'served' | 'refused' | 'shown' | 'identifies' | 'never'>> =
  {
    '0 0': 'served',
    '0 1': 'refused',
    '0 2': 'refused',
    '1': 'shown',
    '2': 'never',
    '3': 'served',
    '100': 'never',
    '101': 'never',
    '102': 'never',
    '103': 'identifies',
    '104': 'never',
    '105': 'never',
    '106': 'served',
  };

/** One message for each kind, as a client would send it. */
const SAMPLES: Readonly<Record<string, Message>> = {
  '0 0': { type: 'step1', stateVector: Uint8Array.of(0) },
  '0 1': { type: 'step2', update: typed('by a reader') },
  '0 2': { type: 'update', update: typed('by a reader') },
  '1': presence(7, { user: { id: 'somebody else' } }),
  '2': { type: 'auth', reason: 'x' },
  '3': { type: 'queryAwareness' },
  '100': { type: 'saved', count: 1 },
  '101': { type: 'rejected', count: 1, reason: 'read-only' },
  '102': { type: 'drain', delay: 1 },
  '103': { type: 'token', token: 'not a token' },
  '104': { type: 'access', access: 'write' },
  '105': { type: 'generation', generation: 1 },
  '106': { type: 'probe' },
};

describe('[AUTH] every way in', () => {
  it('[AUTH-16] every route has a decision, and keeps it', async () => {
    const folder = temporaryFolder();
    const api = new Api({
      administrator: new Administrator(SECRET),
      maxUpdate: 1,
      maxRequests: 1,
      maxWatchers: 1,
      heartbeat: 1,
    } as Partial<ApiOptions> as ApiOptions);
    const app = httpApp({
      isReady: () => true,
      readiness: () => Promise.reject(new Error('nobody asks')),
      staticDir: folder,
      onError: () => undefined,
      onRequest: () => undefined,
      api: api.app,
      administrator: new Administrator(SECRET),
      metrics: { contentType: 'text/plain', text: async () => '' },
      trustIn: () => 'none',
      door: async () => ({ status: 403, message: '' }),
    });
    const routes = new Set(app.routes.map(({ method, path }) => `${method} ${path}`));
    expect([...routes].sort()).toEqual(Object.keys(ROUTES).sort());
    for (const adminToken of [SECRET, undefined]) {
      const server = await startServer({
        staticDir: folder,
        ...(adminToken !== undefined && { adminToken }),
      });
      for (const [route, who] of Object.entries(ROUTES)) {
        const [method, path] = route.split(' ') as [string, string];
        if (method === 'ALL') continue;
        const { status } = await fetch(server.url + path.replace('*', 'x'), { method });
        if (who === 'the door') expect(status, route).toBe(426);
        else if (who === 'everybody') {
          const isClosed = adminToken === undefined && path.startsWith('/api/');
          expect(isClosed ? [403] : [200, 404], route).toContain(status);
        } else expect(status, route).toBe(adminToken === undefined ? 403 : 401);
      }
    }
  });

  it('[AUTH-16] every kind of message has a decision, and a reader is held to it', async () => {
    expect(kinds().sort()).toEqual(Object.keys(MESSAGES).sort());
    const server = await startServer({ auth: { secret: SECRET } });
    const reading = await token('eve', { minutes: 'read' });
    for (const [kind, decision] of Object.entries(MESSAGES)) {
      const eve = await enter(server, 'minutes', reading);
      const doc = new Y.Doc();
      await eve.join(doc);
      await eve.untilSaved(1);
      const from = eve.received.length;
      const sample = SAMPLES[kind]!;
      expect(kindOf(encodeMessage(sample))).toBe(kind);
      eve.send(sample);
      if (decision === 'never') expect((await eve.untilClosed()).code, kind).toBe(4400);
      else if (decision === 'identifies') expect((await eve.untilClosed()).code, kind).toBe(4401);
      else if (decision === 'refused')
        expect(await eve.next('rejected')).toMatchObject({ count: 2 });
      else {
        // Behind it comes the answer to something that is always answered.
        eve.send({ type: 'update', update: typed('by a reader') });
        await eve.next('rejected', from);
        expect(eve.closed, kind).toBeUndefined();
      }
      eve.socket.terminate();
    }
    const writing = await token('ada', { minutes: 'write' });
    const shown = await served(server, 'minutes', writing);
    expect(shown.getText('t').toString()).toBe('');
  });
});

/** The kinds that the wire has, found by trying them all. */
function kinds(): string[] {
  const found: string[] = [];
  for (let type = 0; type < 256; type++) {
    if (isKnown(frame(type))) found.push(`${type}`);
    for (let sub = 0; type === 0 && sub < 128; sub++) {
      if (isKnown(frame(type, sub))) found.push(`${type} ${sub}`);
    }
  }
  return found.filter((kind) => kind !== '0');
}

/** The beginning of a frame; what follows is missing. */
function frame(type: number, sub?: number): Uint8Array {
  const start = type < 128 ? [type] : [(type & 127) | 128, type >> 7];
  return Uint8Array.from(sub === undefined ? start : [...start, sub]);
}

function isKnown(bytes: Uint8Array): boolean {
  try {
    decodeMessage(bytes);
    return true;
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    return !/^unknown (message type|sync message)/.test(error.message);
  }
}

function kindOf(bytes: Uint8Array): string {
  return bytes[0] === 0 ? `0 ${bytes[1]}` : `${bytes[0]}`;
}
