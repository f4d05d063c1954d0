/**
 * Fault row 1: the server's process is killed with SIGKILL at random points under
 * load, again and again. Every update that it had reported saved is in the
 * document after the restart, and once the clients are back nothing that anybody
 * typed is lost and all documents are equal.
 *
 * What it does not show: SIGKILL leaves the kernel and its page cache alive, so
 * this proves the order of committing and reporting, not that the disk was
 * synced before.
 *
 * The long run: `KILLS=200 npx vitest run server/test/kill.test.ts`
 */
import { CowriteProvider } from '@cowrite/client';
import { LmdbStorage } from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import type * as Y from 'yjs';
import { Address, Ledger, same, tapped, turn, union } from './ledger.js';
import { Dice } from './seeded.js';
import { type ServerProcess, served, startProcess, temporaryFolder, untilDoc } from './support.js';

const KILLS = Number(process.env.KILLS ?? 6);
const ROOMS = 4;
const WRITERS = 3;
/** Turns of the loop in which a moment to kill must have come. */
const MAX_TURNS = 100_000;
/** A text longer than this is cut down, so that a long run stays as fast as a short one. */
const MAX_TEXT = 20_000;
/** Rooms are left behind after this many kills, for the same reason. */
const KILLS_A_ROOM = 20;

interface Room {
  readonly name: string;
  readonly ledger: Ledger;
  readonly writers: readonly CowriteProvider[];
}

/** When the process is killed. */
type Moment = 'while typing' | 'behind a report' | 'while clients come back';

describe('[FLT-1] SIGKILL', () => {
  it(`[FLT-1] ${KILLS} of them under load lose nothing that was reported saved, and nothing at all once the clients are back`, {
    timeout: 300_000 + KILLS * 10_000,
  }, async () => {
    await killAgainAndAgain(KILLS, Dice.announced('[FLT-1]'));
  });
});

async function killAgainAndAgain(kills: number, dice: Dice): Promise<void> {
  const folder = temporaryFolder();
  const environment = { STORAGE_URL: `lmdb:${folder}` };
  const address = new Address();
  const all: Room[] = [];
  let rooms: readonly Room[] = [];
  const figures = { edits: 0, restartMs: 0, quarantined: 0 };
  const moments: Record<Moment, number> = {
    'while typing': 0,
    'behind a report': 0,
    'while clients come back': 0,
  };

  let server = await startProcess(environment);
  for (let kill = 0; kill <= kills; kill++) {
    address.up(server);
    if (kill % KILLS_A_ROOM === 0 && kill < kills) {
      for (const room of rooms) {
        await comeBack(room.writers);
        await converged(room, server);
        for (const writer of room.writers) writer.destroy();
      }
      rooms = Array.from({ length: ROOMS }, (_, i) => openRoom(`room ${kill} ${i}`, address));
      all.push(...rooms);
    }
    const came = address.received;
    for (const writer of everyone(rooms)) writer.connect();
    // The last time everybody comes back for good.
    const moment = kill === kills ? undefined : aMoment(dice);
    if (moment === 'while clients come back') {
      // Everybody is sent a step 1 and a step 2, at least.
      await address.untilReceived(came + 1 + dice.below(ROOMS * WRITERS * 2));
    } else {
      await comeBack(everyone(rooms));
      for (const room of rooms) await converged(room, server);
    }
    if (moment === undefined) break;
    moments[moment]++;

    if (moment === 'while typing') {
      const edits = 1 + dice.below(600);
      for (let i = 0; i < edits; i++) {
        edit(dice.pick(dice.pick(rooms).writers).doc, dice);
        figures.edits++;
        await turn();
      }
    } else if (moment === 'behind a report') {
      const due = address.reports + 1 + dice.below(60);
      await turnsUntil(() => {
        edit(dice.pick(dice.pick(rooms).writers).doc, dice);
        figures.edits++;
        return address.reports >= due;
      });
    }

    address.down();
    const isGone = server.kill();
    // Some are still typing, with nobody to hear them.
    for (let i = dice.below(20); i > 0; i--) edit(dice.pick(dice.pick(rooms).writers).doc, dice);
    await isGone;
    expect(server.child.signalCode).toBe('SIGKILL');

    const start = performance.now();
    server = await startProcess(environment);
    for (const room of rooms) await keptItsPromises(room, server, `kill ${kill + 1}, ${moment}`);
    figures.restartMs += performance.now() - start;
  }

  await server.kill();
  const storage = await LmdbStorage.open(folder);
  onTestFinished(() => storage.close());
  const stored = await Promise.all(all.map(({ name }) => storage.load(name)));
  for (const { name } of all) figures.quarantined += (await storage.quarantined(name)).length;
  expect(figures.quarantined).toBe(0);
  console.log(
    `[FLT-1] ${kills} kills ${JSON.stringify(moments)}, ${figures.edits} edits, ` +
      `${address.reports} reports, ${all.reduce((sum, { ledger }) => sum + ledger.units, 0)} units promised, ` +
      `${stored.filter(({ snapshot }) => snapshot !== undefined).length} of ${all.length} rooms compacted, ` +
      `restart and check ${Math.round(figures.restartMs / kills)} ms`,
  );
}

function aMoment(dice: Dice): Moment {
  const roll = dice.next();
  if (roll < 0.2) return 'while clients come back';
  return roll < 0.6 ? 'behind a report' : 'while typing';
}

function openRoom(name: string, address: Address): Room {
  const ledger = new Ledger();
  const writers = Array.from({ length: WRITERS }, () => {
    const writer = new CowriteProvider({
      url: 'ws://wherever.it.is/ws',
      room: name,
      WebSocket: tapped(address, ledger),
      connect: false,
    });
    onTestFinished(() => writer.destroy());
    return writer;
  });
  return { name, ledger, writers };
}

async function comeBack(writers: readonly CowriteProvider[]): Promise<void> {
  for (const writer of writers) writer.connect();
  await Promise.all(writers.map((writer) => writer.whenSynced()));
  await Promise.all(writers.map((writer) => writer.whenSaved()));
}

function everyone(rooms: readonly Room[]): CowriteProvider[] {
  return rooms.flatMap(({ writers }) => writers);
}

function edit(doc: Y.Doc, dice: Dice): void {
  const text = doc.getText('text');
  const at = dice.below(text.length + 1);
  const roll = dice.next();
  if (text.length > MAX_TEXT) text.delete(0, text.length - MAX_TEXT / 2);
  else if (roll < 0.2) text.delete(at, Math.min(1 + dice.below(10), text.length - at));
  else if (roll < 0.22) text.insert(at, aWord(dice).repeat(1 + dice.below(3_000)));
  else if (roll < 0.3) doc.getMap('map').set(`key ${dice.below(10)}`, aWord(dice));
  else text.insert(at, aWord(dice));
}

function aWord(dice: Dice): string {
  return dice.below(36 ** 4).toString(36);
}

async function turnsUntil(holds: () => boolean): Promise<void> {
  for (let i = 0; i < MAX_TURNS; i++) {
    if (holds()) return;
    await turn();
  }
  throw new Error(`nothing came in ${MAX_TURNS} turns of the loop`);
}

async function keptItsPromises(room: Room, server: ServerProcess, when: string): Promise<void> {
  const loaded = await served(server, room.name);
  const all = union(room.writers.map(({ doc }) => doc));
  expect(room.ledger.brokenIn(loaded, all), `${room.name} after ${when}`).toEqual([]);
  expect(loaded.store.pendingStructs).toBeNull();
}

/** Everybody has what anybody had, and so does somebody who comes anew. */
async function converged(room: Room, server: ServerProcess): Promise<void> {
  const docs = room.writers.map(({ doc }) => doc);
  const all = union(docs);
  await Promise.all(docs.map((doc) => untilDoc(doc, () => same(doc, all))));
  const loaded = await served(server, room.name);
  expect(same(loaded, all)).toBe(true);
  for (const doc of [...docs, loaded]) {
    expect(doc.getText('text').toString()).toBe(all.getText('text').toString());
    expect(doc.getMap('map').toJSON()).toEqual(all.getMap('map').toJSON());
  }
}
