/**
 * The server of an application all of whose hooks fail, each in every way there is. Which
 * way, the room's name says; those who probe it are let in.
 */
import { createServer, MemoryStorage } from '@cowrite/server';
import { pino } from 'pino';

/** Whoever waits for a hook that hangs is not to wait as long as in earnest. */
const HANDSHAKE_MS = 1_000;

const WAYS = {
  throws: () => {
    throw new Error('a hook that throws');
  },
  rejects: async () => {
    throw new Error('a hook that rejects');
  },
  'throws-nothing': () => {
    throw undefined;
  },
  hangs: () => new Promise(() => undefined),
  'answers-nothing': () => undefined,
  'answers-nonsense': () => ({ access: 'everything', user: 7, expiresAt: 'never' }),
  'answers-a-number': async () => 42,
  'answers-late': () =>
    new Promise((resolve) => setTimeout(resolve, 2 * HANDSHAKE_MS, { access: 'write' })),
  'answers-a-trap': () => ({
    get access() {
      throw new Error('a hook whose answer throws');
    },
  }),
};
const ways = Object.values(WAYS);
let calls = 0;

/** Each call another way. */
function failing() {
  return ways[calls++ % ways.length]();
}

const storage = new MemoryStorage();
// What cannot be part of the document is set aside when the room is opened, and that is told.
const entries = [{ update: Uint8Array.of(1, 2, 3), author: 'eve' }];
const appends = Array.from({ length: 2_000 }, (_, n) => ({ room: `poisoned-${n}`, entries }));
await storage.append({ number: 0, appends });

const server = await createServer({
  port: 0,
  storage,
  trustedProxies: ['loopback'],
  limits: { handshakeMs: HANDSHAKE_MS },
  logger: pino({ level: 'trace' }, pino.destination(2)),
  hooks: {
    authenticate: ({ room, token }) => {
      const way = Object.keys(WAYS).find((name) => room.endsWith(name));
      if (way !== undefined) return WAYS[way]();
      if (token?.endsWith('.bad')) return failing();
      return { access: 'write' };
    },
    onSaved: failing,
    onQuarantine: failing,
  },
});
process.on('SIGTERM', () => void server.close().then(() => process.exit(0)));
process.stdout.write(`ready: ${server.url}\n`);
