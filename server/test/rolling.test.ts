/**
 * A rolling deploy: three instances behind a load balancer are replaced one after the other, with
 * SIGTERM, while people type. Real processes, a real Redis, Postgres and nginx.
 *
 * nginx has the shipped configuration with a third server. It asks nobody whether they are ready,
 * and learns that an instance drains by being refused.
 *
 * The whole: `DEPLOY_CLIENTS=300 npx vitest run server/test/rolling.test.ts`
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CowriteProvider } from '@cowrite/client';
import { describe, expect, it, onTestFinished } from 'vitest';
import type * as Y from 'yjs';
import { Address, Ledger, same, tapped, union } from './ledger.js';
import { startNginx } from './nginx-service.js';
import { startPostgres } from './postgres-service.js';
import { startRedis } from './redis-service.js';
import {
  type ServerProcess,
  served,
  startProcess,
  synced,
  untilDoc,
  yWebsocket,
} from './support.js';

const CLIENTS = Number(process.env.DEPLOY_CLIENTS ?? 70);
/** Enough that a tenth of all a second is twice what a plan for three quarters of them has. */
const DRAIN_SECONDS = 16;
const IN_A_ROOM = 10;
const INSTANCES = 3;
/** All clients together. */
const EDITS_EVERY_MS = 10;
const LONGEST_AWAY_MS = 3_000;
/** One in so many speaks y-websocket. */
const PLAIN_EVERY = 4;

describe('[DRN] a rolling deploy', () => {
  it(`[DRN-10] of three instances under ${CLIENTS} people who type loses nothing, and nobody is away for long`, {
    timeout: 300_000 + INSTANCES * DRAIN_SECONDS * 2_000,
  }, async () => {
    const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
    const environment = {
      REDIS_URL: redis.url,
      STORAGE_URL: postgres.url,
      DRAIN_SECONDS: String(DRAIN_SECONDS),
    };
    const instances: ServerProcess[] = [];
    // One after the other: the first makes the tables.
    for (let i = 0; i < INSTANCES; i++) instances.push(await startProcess(environment));
    const nginx = await startNginx(instances.map(({ url }) => url));
    const address = new Address();
    address.up(nginx);
    const rooms = Array.from({ length: CLIENTS / IN_A_ROOM }, (_, i) => `room ${i}`);
    const ledgers = rooms.map(() => new Ledger());
    const people = Array.from({ length: CLIENTS }, (_, i) => {
      const room = i % rooms.length;
      return i % PLAIN_EVERY === 0
        ? plainPerson(nginx, rooms[room]!)
        : person(address, rooms[room]!, ledgers[room]!);
    });
    await Promise.all(people.map(({ entered }) => entered));
    const typing = setInterval(() => {
      people[edits % CLIENTS]!.type(edits++);
    }, EDITS_EVERY_MS);
    let edits = 0;
    onTestFinished(() => clearInterval(typing));
    const probe = new MachineProbe();

    const took: number[] = [];
    for (const [i, instance] of instances.entries()) {
      const start = performance.now();
      const exited = once(instance.child, 'exit');
      instance.child.kill('SIGTERM');
      const [code] = await exited;
      took.push(performance.now() - start);
      expect(code, instance.errors()).toBe(0);
      const { port } = new URL(instance.url);
      instances[i] = await startProcess({ ...environment, PORT: port });
    }
    clearInterval(typing);
    const slowest = await probe.end();
    await Promise.all(people.map(({ isSaved }) => isSaved()));

    const written = people.map(({ doc }) => doc);
    for (const [room, name] of rooms.entries()) {
      const docs = written.filter((_, i) => i % rooms.length === room);
      const all = union(docs);
      await Promise.all(docs.map((doc) => untilDoc(doc, () => same(doc, all))));
      const stored = await served(nginx, name);
      expect(same(stored, all)).toBe(true);
      expect(ledgers[room]!.brokenIn(stored, all)).toEqual([]);
      for (let edit = 0; edit < edits; edit++) {
        if ((edit % CLIENTS) % rooms.length !== room) continue;
        expect(stored.getMap('edits').has(String(edit)), `edit ${edit} in ${name}`).toBe(true);
      }
    }
    const away = people.flatMap(({ absences }) => absences);
    const times = away.map(({ from, until }) => until - from);
    const busiest = mostWithin(
      away.map(({ from }) => from),
      1_000,
    );
    console.log(
      `[DRN-10] ${CLIENTS} clients, ${edits} edits, ${ledgers.reduce((sum, { units }) => sum + units, 0)} units promised; ` +
        `${away.length} moves, away ${quantile(times, 0.5)} ms (median), ${quantile(times, 0.99)} (99 %), ` +
        `${quantile(times, 1)} (longest); ${busiest} in the busiest second; ` +
        `drains took ${took.map((ms) => (ms / 1_000).toFixed(1)).join(', ')} s; ` +
        `an empty process took up to ${Math.round(slowest)} ms to start and end`,
    );
    expect(away.length).toBeGreaterThanOrEqual(CLIENTS);
    // What the machine adds, where it has so much else to do that an empty process takes a second.
    const slack = Math.max(0, slowest - 1_000);
    expect(Math.max(...times)).toBeLessThanOrEqual(LONGEST_AWAY_MS + 4 * slack);
    expect(busiest).toBeLessThanOrEqual((CLIENTS / 10) * (1 + slack / 1_000));
    expect(Math.max(...took)).toBeLessThanOrEqual(DRAIN_SECONDS * 1_000 + slack);
  });
});

/** How fast the machine is: starts a process that does nothing, again and again. */
class MachineProbe {
  #slowest = 0;
  #isOver = false;
  readonly #starts = this.#start();

  /** @returns milliseconds of the slowest start */
  async end(): Promise<number> {
    this.#isOver = true;
    await this.#starts;
    return this.#slowest;
  }

  async #start(): Promise<void> {
    while (!this.#isOver) {
      const start = performance.now();
      await once(spawn(process.execPath, ['-e', '0']), 'exit');
      this.#slowest = Math.max(this.#slowest, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

interface Absence {
  readonly from: number;
  readonly until: number;
}

interface Typist {
  readonly doc: Y.Doc;
  readonly entered: Promise<void>;
  readonly absences: readonly Absence[];
  type(edit: number): void;
  /** Resolves once it has nothing that the server may not have. */
  isSaved(): Promise<unknown>;
}

/** Notes from when to when somebody was away. */
class Attendance {
  readonly absences: Absence[] = [];
  #since: number | undefined;

  away(): void {
    if (this.#isIn) this.#since ??= performance.now();
  }

  #isIn = false;

  back(): void {
    this.#isIn = true;
    if (this.#since !== undefined) {
      this.absences.push({ from: this.#since, until: performance.now() });
    }
    this.#since = undefined;
  }
}

function type(doc: Y.Doc, edit: number): void {
  doc.transact(() => {
    doc.getMap('edits').set(String(edit), true);
    const text = doc.getText('text');
    text.insert(edit % (text.length + 1), 'x');
  });
}

function person(address: Address, room: string, ledger: Ledger): Typist {
  const attendance = new Attendance();
  const provider = new CowriteProvider({
    url: 'ws://wherever.it.is/ws',
    room,
    WebSocket: tapped(address, ledger),
  });
  onTestFinished(() => provider.destroy());
  provider.on('status', ({ status }) => {
    if (status === 'online') attendance.back();
    else attendance.away();
  });
  return {
    doc: provider.doc,
    entered: provider.whenSynced(),
    absences: attendance.absences,
    type: (edit) => type(provider.doc, edit),
    isSaved: () => provider.whenSaved(),
  };
}

function plainPerson(nginx: { url: string }, room: string): Typist {
  const attendance = new Attendance();
  const provider = yWebsocket(nginx, encodeURIComponent(room));
  provider.on('sync', (isSynced: boolean) => {
    if (isSynced) attendance.back();
    else attendance.away();
  });
  return {
    doc: provider.doc,
    entered: synced(provider),
    absences: attendance.absences,
    type: (edit) => type(provider.doc, edit),
    isSaved: () => synced(provider),
  };
}

function mostWithin(times: readonly number[], ms: number): number {
  return Math.max(
    ...times.map((from) => times.filter((at) => at >= from && at < from + ms).length),
  );
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
}
