/**
 * Sessions that come and go, and a server that goes.
 *
 * - Fault row 5: the last session leaves while another joins, 10,000 times. There
 *   is never more than one live room of a name, and nothing is lost. The store
 *   looks whether a room is written while it is being loaded.
 *   Storage and time stand still until the test moves one of them, in an order
 *   that the seed decides.
 * - Fault row 7: SIGTERM under load. The process ends by itself, in time, with
 *   exit code 0; what was reported saved and what anybody was shown is there
 *   after the restart.
 */

import { once } from 'node:events';
import { CowriteProvider } from '@cowrite/client';
import { type Batch, type Compaction, MemoryStorage } from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { ManualClock } from '../src/clock.js';
import { type CompactResult, type CompactTask, compact } from '../src/compact/job.js';
import { Workers } from '../src/compact/workers.js';
import { chooseDialect } from '../src/dialect.js';
import { Log } from '../src/log.js';
import { Measures } from '../src/measures.js';
import { Merges } from '../src/merges.js';
import type { Member, Room } from '../src/room.js';
import { Rooms } from '../src/rooms.js';
import { Snapshots } from '../src/snapshots.js';
import { parseUpdate } from '../src/update/parse.js';
import { Address, Ledger, same, tapped, turn, union } from './ledger.js';
import { Dice } from './seeded.js';
import { socketUrl, startProcess, temporaryFolder, untilDoc, yWebsocket } from './support.js';

const TIMES = Number(process.env.TIMES ?? 10_000);
/** Moves of the clock and the store in which what must happen has happened. */
const MAX_MOVES = 2_000;
/** A name is used for this many rounds, so that its document stays small. */
const ROUNDS_A_NAME = 100;

describe('[FLT-5] the last one leaves while another joins', () => {
  it(`[FLT-5] ${TIMES} times: one live room, nothing lost`, async () => {
    const dice = Dice.announced('[FLT-5]');
    const world = new World(dice);
    for (let from = 0; from < TIMES; from += ROUNDS_A_NAME) {
      await world.comeAndGo(`room ${from}`, Math.min(ROUNDS_A_NAME, TIMES - from));
    }
    console.log(
      `[FLT-5] ${TIMES} rounds: ${world.storage.loads} loads, ${world.storage.compactions} compactions, ` +
        `${world.storage.appends} commits`,
    );
    expect(world.storage.loads).toBeGreaterThan(TIMES / 100);
    expect(world.storage.loads).toBeLessThan(TIMES);
  });
});

/** Whatever it is asked waits until it is let go; nobody writes to a room while it is being loaded. */
class HeldStorage extends MemoryStorage {
  readonly #held: (() => void)[] = [];
  readonly #loading = new Set<string>();
  readonly #writing = new Map<string, number>();
  loads = 0;
  compactions = 0;
  appends = 0;

  get isWaitedFor(): boolean {
    return this.#held.length > 0;
  }

  letGo(dice: Dice): void {
    this.#held.splice(dice.below(this.#held.length), 1)[0]?.();
  }

  #hold(): Promise<void> {
    return new Promise((resolve) => this.#held.push(resolve));
  }

  override async load(room: string) {
    this.loads++;
    expect(this.#writing.get(room) ?? 0, `${room} is loaded while it is written`).toBe(0);
    this.#loading.add(room);
    await this.#hold();
    this.#loading.delete(room);
    return await super.load(room);
  }

  override async append(batch: Batch): Promise<readonly number[]> {
    this.appends++;
    for (const { room } of batch.appends) this.#begins(room);
    await this.#hold();
    const firsts = await super.append(batch);
    await this.#hold();
    for (const { room } of batch.appends) this.#ends(room);
    return firsts;
  }

  override async since(room: string, seq: number) {
    await this.#hold();
    return await super.since(room, seq);
  }

  override async readSnapshot(room: string, seq: number) {
    await this.#hold();
    return await super.readSnapshot(room, seq);
  }

  override async compact(room: string, compaction: Compaction): Promise<boolean> {
    this.compactions++;
    this.#begins(room);
    await this.#hold();
    const done = await super.compact(room, compaction);
    await this.#hold();
    this.#ends(room);
    return done;
  }

  #begins(room: string): void {
    expect(this.#loading.has(room), `${room} has more than one writer`).toBe(false);
    this.#writing.set(room, (this.#writing.get(room) ?? 0) + 1);
  }

  #ends(room: string): void {
    this.#writing.set(room, this.#writing.get(room)! - 1);
  }
}

/** The job itself, without a thread. */
class Inline extends Workers {
  override async compact(read: () => Promise<CompactTask>): Promise<CompactResult> {
    return compact(await read());
  }
}

/** One who is in a room, with a document. */
class Guest implements Member {
  readonly author = 'guest';
  readonly shownAs = undefined;
  readonly receivedAt = 0;
  readonly doc = new Y.Doc();
  readonly dialect = chooseDialect(new Set()).dialect;
  mayWrite(): boolean {
    return true;
  }

  readonly hasWritten = () => false;
  readonly isWaiting = false;
  closedWith: string | undefined;
  isSynced = false;
  readonly connection = {
    buffered: 0,
    send: ({ chunks }: Parameters<Member['connection']['send']>[0]) => {
      for (const chunk of chunks) this.#read(Buffer.concat(chunk));
    },
    close: (_code: number, reason: string) => {
      this.closedWith = reason;
    },
  };

  /** The frames of so small a document have one chunk, with a head of 2 or 4 bytes. */
  #read(frame: Uint8Array): void {
    const message = this.dialect.codec.decode(frame.subarray(frame[1] === 126 ? 4 : 2));
    if (message.type !== 'update' && message.type !== 'step2') return;
    Y.applyUpdate(this.doc, message.update);
    if (message.type === 'step2') this.isSynced = true;
  }

  send(message: Parameters<Member['send']>[0]): void {
    if (message.type === 'step2') this.isSynced = true;
    if (message.type === 'update' || message.type === 'step2') {
      Y.applyUpdate(this.doc, message.update);
    }
  }

  close(_code: number, reason: string): void {
    this.closedWith = reason;
  }

  saved(): boolean {
    // Whether it is on disk is asked of the store.
    return true;
  }

  probe(): void {
    // It is alive.
  }

  retry(): void {
    // It never waits.
  }

  guard(action: () => void): void {
    action();
  }

  enter(room: Room): void {
    room.enter(this);
    room.joining.answer(this, Y.encodeStateVector(this.doc));
  }

  type(room: Room, what: string): void {
    const before = Y.encodeStateVector(this.doc);
    const text = this.doc.getText('text');
    text.insert(text.length, what);
    expect(room.write(this, parseUpdate(Y.encodeStateAsUpdate(this.doc, before)))).toBeUndefined();
  }
}

class World {
  readonly storage = new HeldStorage();
  readonly #clock = new ManualClock();
  readonly #dice: Dice;
  readonly #rooms: Rooms;

  constructor(dice: Dice) {
    this.#dice = dice;
    const clock = this.#clock;
    const logger = pino({ level: 'silent' });
    const workers = new Inline({ threads: 1, budget: 600_000, memory: 128 });
    onTestFinished(() => workers.close());
    const { storage } = this;
    const measures = new Measures();
    const log = new Log({
      storage,
      clock,
      logger,
      commitInterval: 10,
      maxUnsavedBytes: 1e6,
      random: () => dice.next(),
      measures: measures.log,
    });
    this.#rooms = new Rooms({
      storage,
      log,
      workers,
      clock,
      logger,
      merges: new Merges({ storage, workers, logger }),
      snapshots: new Snapshots({ storage, workers, maxBytes: 1e6 }),
      instances: undefined,
      fanout: { clock, highWater: 1e6, patience: 1_000, measures: measures.fanout },
      compactions: measures.compaction,
      awareness: { maxStateBytes: 100, maxClients: 1, maxDepth: 100 },
      maxDocumentBytes: 1e6,
      onQuarantine: (room) => expect.fail(`something of ${room} was set aside`),
      onSaved: () => undefined,
      idle: 0,
      loadTimeout: 1e9,
    });
  }

  /** Lets one thing happen: something of the store, or time. */
  async #move(): Promise<void> {
    const dice = this.#dice;
    if (this.storage.isWaitedFor && dice.chance(0.6)) this.storage.letGo(dice);
    else this.#clock.advance(dice.below(4));
    await turn();
  }

  async #until(holds: () => boolean): Promise<void> {
    for (let i = 0; i < MAX_MOVES && !holds(); i++) await this.#move();
    if (!holds()) throw new Error(`it has not happened in ${MAX_MOVES} moves`);
  }

  async #enter(name: string): Promise<{ room: Room; guest: Guest }> {
    const guest = new Guest();
    let room: Room | undefined;
    const opened = this.#rooms.open(name).then((live) => {
      room = live;
      guest.enter(live);
    });
    // Promises come before timers, as they do in a process: a live room is entered before the clock moves.
    await turn();
    await this.#until(() => room !== undefined && guest.isSynced);
    await opened;
    return { room: room!, guest };
  }

  /** Again and again: one is in the room and types, the other comes, and the first goes, about at once. */
  async comeAndGo(name: string, rounds: number): Promise<void> {
    const dice = this.#dice;
    let expected = '';
    let inside = await this.#enter(name);
    for (let round = 0; round < rounds; round++) {
      const { room, guest } = inside;
      const word = `${round} `;
      guest.type(room, word);
      expected += word;
      // Long enough now and then for the room to be merged and forgotten.
      const moves = dice.chance(0.25) ? 15 + dice.below(30) : dice.below(8);
      const leavesAfter = dice.below(8);
      const goes = async () => {
        for (let i = 0; i < leavesAfter; i++) await this.#move();
        room.leave(guest);
      };
      const comes = async () => {
        for (let i = 0; i < moves; i++) await this.#move();
        return await this.#enter(name);
      };
      // Half of them wait for the door to close behind the other, some until the room is gone.
      const [next] = dice.chance(0.5)
        ? await Promise.all([comes(), goes()])
        : [await goes().then(comes)];
      expect(this.#rooms.size).toBe(1);
      expect([...this.#rooms.live()]).toEqual([next.room]);
      expect(next.guest.closedWith).toBeUndefined();
      expect(next.guest.doc.store.pendingStructs).toBeNull();
      expect(next.guest.doc.getText('text').toString()).toBe(expected);
      inside = next;
    }
    inside.room.leave(inside.guest);
    await this.#until(() => this.#rooms.size === 0);
    const { guest, room } = await this.#enter(name);
    expect(guest.doc.getText('text').toString()).toBe(expected);
    room.leave(guest);
    await this.#until(() => this.#rooms.size === 0);
  }
}

describe('[FLT-7] SIGTERM under load', () => {
  it.each([0, 1, 2])(
    '[FLT-7] the process ends once it has saved, and all that it was given is there (%i)',
    async () => {
      const dice = Dice.announced('[FLT-7]');
      // One that waits for its deadline does not end before this test is given up.
      const environment = { STORAGE_URL: `lmdb:${temporaryFolder()}`, DRAIN_SECONDS: '600' };
      const server = await startProcess(environment);
      const address = new Address();
      address.up(server);
      const ledger = new Ledger();
      const writers = Array.from({ length: 4 }, () => {
        const writer = new CowriteProvider({
          url: 'ws://wherever.it.is/ws',
          room: 'room',
          WebSocket: tapped(address, ledger),
        });
        onTestFinished(() => writer.destroy());
        return writer;
      });
      const watcher = yWebsocket(server, 'room');
      await Promise.all(writers.map((writer) => writer.whenSynced()));

      const exited = once(server.child, 'exit');
      const signalAt = dice.below(1_500);
      // They type on after the signal, until the last socket is closed.
      for (let i = 0; i < 20_000; i++) {
        if (i === signalAt) server.child.kill('SIGTERM');
        if (i > signalAt && writers.every(({ status }) => status === 'retrying')) break;
        const text = dice.pick(writers).doc.getText('text');
        text.insert(dice.below(text.length + 1), dice.below(36 ** 3).toString(36));
        await turn();
      }
      const [code] = await exited;
      watcher.disconnect();
      address.down();
      expect(code).toBe(0);
      expect(server.errors()).not.toContain('without saving');

      const again = await startProcess(environment);
      const reader = new CowriteProvider({ url: socketUrl(again), room: 'room', WebSocket });
      onTestFinished(() => reader.destroy());
      await reader.whenSynced();
      const all = union(writers.map(({ doc }) => doc));
      expect(ledger.brokenIn(reader.doc, all)).toEqual([]);
      const shown = Y.decodeStateVector(Y.encodeStateVector(watcher.doc));
      for (const [client, clock] of shown) {
        expect(Y.getState(reader.doc.store, client)).toBeGreaterThanOrEqual(clock);
      }

      address.up(again);
      for (const writer of writers) writer.connect();
      await Promise.all(writers.map((writer) => writer.whenSynced()));
      await Promise.all(writers.map((writer) => writer.whenSaved()));
      for (const doc of [reader.doc, ...writers.map((writer) => writer.doc)]) {
        await untilDoc(doc, () => same(doc, all));
        expect(doc.getText('text').toString()).toBe(all.getText('text').toString());
      }
      console.log(`[FLT-7] ${ledger.units} units promised, ${all.getText('text').length} typed`);
    },
  );
});
