import { encodeMessage } from '@cowrite/client/protocol';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { ANYBODY, type Identity } from './auth/identity.js';
import { type AwarenessEntry, encodeAwareness } from './awareness.js';
import { ManualClock } from './clock.js';
import { Workers } from './compact/workers.js';
import { chooseDialect } from './dialect.js';
import { DEFAULT_LIMITS } from './limits.js';
import { Log } from './log.js';
import { Measures } from './measures.js';
import { Merges } from './merges.js';
import { Room } from './room.js';
import { Session } from './session.js';
import { Snapshots } from './snapshots.js';
import { MemoryStorage } from './storage/memory.js';
import type { Connection, ConnectionEvents } from './transport.js';
import { Turns } from './turns.js';

const nothing = () => undefined;

/** A socket on which the test is the peer; what is sent to it is not looked at. */
class FakeConnection {
  events!: ConnectionEvents;
  readonly buffered = 0;
  readonly quiet = 0;
  readonly silence = 0;
  readonly account = {};
  readonly isStopped = false;
  readonly pause = nothing;
  readonly resume = nothing;
  readonly ping = nothing;
  readonly send = nothing;
  readonly close = nothing;
  readonly terminate = nothing;
}

async function setUp() {
  const clock = new ManualClock();
  const logger = pino({ level: 'silent' });
  const storage = new MemoryStorage();
  const workers = new Workers({ threads: 1, budget: 600_000, memory: 128 });
  onTestFinished(() => workers.close());
  const measures = new Measures();
  const options = {
    commitInterval: 10,
    maxUnsavedBytes: 1e6,
    random: () => 0,
    measures: measures.log,
  };
  const room = await Room.open('room', {
    storage,
    log: new Log({ storage, clock, logger, ...options }),
    workers,
    clock,
    logger,
    merges: new Merges({ storage, workers, logger }),
    snapshots: new Snapshots({ storage, workers, maxBytes: 1e6 }),
    instances: undefined,
    fanout: { clock, highWater: 1e6, patience: 1_000, measures: measures.fanout },
    compactions: measures.compaction,
    awareness: { maxStateBytes: 100, maxClients: 64, maxDepth: 100 },
    maxDocumentBytes: 1e6,
    onQuarantine: () => undefined,
    onSaved: () => undefined,
  });
  /** Somebody new in the room. */
  const guest = (identity: Identity = ANYBODY) => {
    const connection = new FakeConnection();
    const session = new Session({
      connection: connection as unknown as Connection,
      dialect: chooseDialect(new Set()).dialect,
      roomName: room.name,
      id: 1,
      proxyId: undefined,
      address: '127.0.0.1',
      clientKey: undefined,
      rules: {
        identify: async () => ANYBODY,
        areUsersKnown: false,
        areReadersPresent: true,
        rates: DEFAULT_LIMITS,
        onLimit: () => undefined,
        measures: measures.sockets,
        onClosed: () => undefined,
        onGone: () => undefined,
        turns: new Turns(clock),
        patience: 1_000,
      },
      identity,
      brought: undefined,
      debt: 0,
      clock,
      logger,
    });
    session.enter(room);
    return { session, events: connection.events };
  };
  return { clock, room, guest };
}

/** Awareness states of the clients 1 to `count`. */
function states(count: number, clock: number, state: string): AwarenessEntry[] {
  return Array.from({ length: count }, (_, i) => ({
    client: i + 1,
    clock,
    state: new TextEncoder().encode(state),
  }));
}

function message(entries: readonly AwarenessEntry[]): Uint8Array {
  return encodeMessage({ type: 'awareness', update: encodeAwareness(entries) });
}

/** An update of that many structs that no reader takes in one go. */
function large(structs: number): Uint8Array {
  const doc = new Y.Doc();
  // Each before the last, so that none of them are merged.
  for (let i = 0; i < structs; i++) doc.getText('t').insert(0, 'xxxxxxxxxx');
  return encodeMessage({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
}

describe('[AUTH] time', () => {
  it('[AUTH-9] a message that was begun in time and ends too late is not written', async () => {
    const { clock, room, guest } = await setUp();
    const { session, events } = guest({ access: 'write', expiresAt: new Date(60_000) });
    // Time goes by while it is read, and its timer is late.
    let ticks = 0;
    const now = clock.now.bind(clock);
    clock.now = () => now() + ++ticks;
    events.onMessage(large(20_000));
    expect([session.isClosed, room.last]).toEqual([false, 0]);
    clock.date = () => 60_000;
    for (let i = 0; i < 1_000 && !session.isClosed; i++) clock.advance(0);
    expect([session.isClosed, room.last]).toEqual([true, 0]);
  });

  it('[LIM-6] what arrives while a large message is read, and while that is paid for, keeps its order', async () => {
    const { clock, room, guest } = await setUp();
    const { session, events } = guest();
    let ticks = 0;
    const now = clock.now.bind(clock);
    clock.now = () => now() + ++ticks;
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    for (let i = 0; i < 50; i++) doc.getText('t').insert(i, 'x');
    events.onMessage(large(20_000));
    for (const update of updates) {
      events.onMessage(encodeMessage({ type: 'update', update }));
      events.onPing();
    }
    // What took long is waited for before the next is read.
    for (let i = 0; i < 1_000 && room.clock(doc.clientID) < 50; i++) clock.advance(50);
    expect([session.isClosed, room.clock(doc.clientID)]).toEqual([false, 50]);
    // In order: nothing had to wait for anything.
    expect(session.isWaiting).toBe(false);
  });
});

describe('[LIVE] ids that another holds', () => {
  it("[LIVE-3] a newcomer's states for them wait as copies, at most eight, and count once the holder has left", async () => {
    const { clock, room, guest } = await setUp();
    const [holder, newcomer] = [guest(), guest()];
    holder.events.onMessage(message(states(10, 1, '"holder"')));
    const claims = message(states(10, 2, '"newcomer"'));
    newcomer.events.onMessage(claims);
    // As ws does, which reads the next message into the same buffer.
    claims.fill(0);
    clock.advance(1_000);
    expect(room.awareness.present()).toEqual(states(10, 1, '"holder"'));

    holder.events.onClose();
    clock.advance(1_000);
    expect(room.awareness.present()).toEqual(states(8, 2, '"newcomer"'));
    for (const { client } of room.awareness.present()) {
      expect(room.awareness.ownerOf(client)).toBe(newcomer.session);
    }
  });
});
