/**
 * Crafted inputs against a live room: each is refused, or costs its own room a
 * bounded amount; the room still opens with what honest people wrote, and other
 * rooms notice nothing.
 */

import * as encoding from 'lib0/encoding';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { EXPENSIVE, gc, REFUSED, update } from './crafted.js';
import { RawClient, startServer, temporaryFolder } from './support.js';

async function world() {
  const server = await startServer({
    storage: `lmdb:${temporaryFolder()}`,
    limits: { idleMs: 0, workerMs: 3_000 },
  });
  const honest = await RawClient.connect(server, 'attacked');
  const victim = new Y.Doc();
  victim.clientID = 77;
  await honest.join(victim);
  victim.getText('t').insert(0, 'honest');
  honest.send({ type: 'update', update: Y.encodeStateAsUpdate(victim) });
  await honest.untilSaved(2);

  const elsewhere = await RawClient.connect(server, 'elsewhere');
  await elsewhere.join(new Y.Doc());
  const attacker = await RawClient.connect(server, 'attacked');
  await attacker.join(new Y.Doc());
  return { server, honest, victim, elsewhere, attacker };
}

/** A keystroke in another room: its way to the disk and back. */
async function otherRoomWorks(client: RawClient): Promise<number> {
  const start = performance.now();
  const said = client.received.filter(({ type }) => type === 'saved').length;
  const doc = new Y.Doc();
  doc.getText('t').insert(0, 'x');
  client.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
  await client.until(() => client.received.filter(({ type }) => type === 'saved').length > said);
  return performance.now() - start;
}

async function roomOpens(server: Awaited<ReturnType<typeof startServer>>): Promise<Y.Doc> {
  const fresh = await RawClient.connect(server, 'attacked');
  const doc = new Y.Doc();
  await fresh.join(doc);
  expect(doc.store.pendingStructs).toBeNull();
  return doc;
}

describe('[THR] crafted updates that are refused', () => {
  for (const [name, craft] of Object.entries(REFUSED)) {
    for (const kind of ['update', 'step2'] as const) {
      it(`[THR-1] ${name}, as ${kind}`, async () => {
        const { server, honest, elsewhere, attacker } = await world();
        const heard = honest.received.length;
        attacker.send({ type: kind, update: craft() });
        expect((await attacker.untilClosed()).code).toBe(4400);
        await otherRoomWorks(elsewhere);
        expect((await roomOpens(server)).getText('t').toString()).toBe('honest');
        expect(honest.received.slice(heard).filter(({ type }) => type === 'update')).toEqual([]);
        expect(honest.closed).toBeUndefined();
      });
    }
  }

  it('[THR-2] frames that are no message close their socket with 4400', async () => {
    const { server, elsewhere } = await world();
    for (const frame of [
      [],
      [0],
      [0, 9],
      [7],
      [0, 0, 200],
      [100, 1],
      [101, 0],
      [0, 2, 2, 0, 0, 9],
    ]) {
      const client = await RawClient.connect(server, 'attacked');
      client.socket.send(Uint8Array.from(frame));
      expect((await client.untilClosed()).code, JSON.stringify(frame)).toBe(4400);
    }
    const client = await RawClient.connect(server, 'attacked');
    client.socket.send('text');
    expect((await client.untilClosed()).code).toBe(4400);
    await otherRoomWorks(elsewhere);
  });

  it('[THR-3] a message over the limit closes its socket with 1009', async () => {
    const server = await startServer({ limits: { maxMessageBytes: 1_000 } });
    const client = await RawClient.connect(server, 'room');
    client.socket.send(new Uint8Array(1_001));
    expect((await client.untilClosed()).code).toBe(1009);
  });

  it('[THR-3] and says so also to whoever is still sending it', async () => {
    const server = await startServer({ limits: { maxMessageBytes: 4 << 20 } });
    for (let socket = 0; socket < 5; socket++) {
      const client = await RawClient.connect(server, 'room');
      client.socket.send(new Uint8Array(8 << 20));
      expect((await client.untilClosed()).code).toBe(1009);
    }
  });
});

describe('[THR] crafted updates that only cost', () => {
  for (const [name, craft] of Object.entries(EXPENSIVE)) {
    it(`[THR-4] ${name}: the loop stays free and the room opens`, async (context) => {
      const { server, honest, victim, elsewhere, attacker } = await world();
      const update = craft();
      attacker.send({ type: 'update', update });
      await attacker.untilSaved(2);
      const cost = await otherRoomWorks(elsewhere);
      context.annotate(`${update.length} bytes; a keystroke elsewhere took ${cost.toFixed(0)} ms`);
      // The room goes on: a later keystroke is saved and arrives.
      const before = Y.encodeStateVector(victim);
      victim.getText('t').insert(6, '!');
      honest.send({ type: 'update', update: Y.encodeStateAsUpdate(victim, before) });
      await honest.untilSaved(3);
      attacker.socket.close();
      // What it costs a reader to integrate is the reader's; what arrives must be all of it.
      const fresh = await RawClient.connect(server, 'attacked');
      fresh.send({ type: 'step1', stateVector: Y.encodeStateVector(new Y.Doc()) });
      const { update: all } = await fresh.next('step2');
      expect(Y.parseUpdateMeta(all).to.get(77)).toBe(7);
    });
  }
});

function states(entries: readonly (readonly [number, number, string])[]): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, entries.length);
  for (const [client, clock, state] of entries) {
    encoding.writeVarUint(encoder, client);
    encoding.writeVarUint(encoder, clock);
    encoding.writeVarString(encoder, state);
  }
  return encoding.toUint8Array(encoder);
}

describe('[THR] writing in the name of another', () => {
  it('[THR-8] GC structs over known clocks delete nothing, and hide no later deletion', async () => {
    const { server, honest, victim, attacker } = await world();
    attacker.send({ type: 'update', update: update([{ client: 77, clock: 0, structs: [gc(6)] }]) });
    await attacker.untilSaved(2);
    const before = Y.encodeStateVector(victim);
    victim.getText('t').delete(0, 2);
    honest.send({ type: 'update', update: Y.encodeStateAsUpdate(victim, before) });
    await honest.untilSaved(3);
    await attacker.next('update');
    expect((await roomOpens(server)).getText('t').toString()).toBe('nest');
  });

  it('[THR-8] new clocks of somebody who is here and writes are not taken from others', async () => {
    const { server, honest, victim, attacker } = await world();
    honest.send({ type: 'awareness', update: states([[77, 1, '{"name":"victim"}']]) });
    await attacker.next('awareness');
    attacker.send({
      type: 'update',
      update: update([{ client: 77, clock: 6, structs: [gc(1_000)] }]),
    });
    await attacker.next('step1', 1);
    const before = Y.encodeStateVector(victim);
    victim.getText('t').insert(6, ' work');
    honest.send({ type: 'update', update: Y.encodeStateAsUpdate(victim, before) });
    await honest.untilSaved(3);
    expect((await roomOpens(server)).getText('t').toString()).toBe('honest work');
    expect(attacker.received.filter((m) => m.type === 'saved' && m.count > 1)).toEqual([]);
  });

  it('[THR-8] nobody is kept from writing by another who claims their id', async () => {
    const { server, honest, victim, attacker } = await world();
    attacker.send({ type: 'awareness', update: states([[77, 5, '{"name":"squatter"}']]) });
    await honest.next('awareness');
    const before = Y.encodeStateVector(victim);
    victim.getText('t').insert(6, ' work');
    honest.send({ type: 'update', update: Y.encodeStateAsUpdate(victim, before) });
    await honest.untilSaved(3);
    expect((await roomOpens(server)).getText('t').toString()).toBe('honest work');
  });
});

describe('[THR] awareness', () => {
  async function presentTo(server: Awaited<ReturnType<typeof startServer>>): Promise<string> {
    const fresh = await RawClient.connect(server, 'attacked');
    await fresh.join(new Y.Doc());
    return Buffer.from((await fresh.next('awareness')).update).toString('latin1');
  }

  it('[THR-5] nobody writes the state of another, with any clock', async () => {
    const { server, honest, attacker } = await world();
    honest.send({ type: 'awareness', update: states([[77, 1, '{"name":"victim"}']]) });
    await attacker.next('awareness');
    attacker.send({ type: 'awareness', update: states([[77, 2 ** 53 - 1, '{"name":"mallory"}']]) });
    attacker.send({
      type: 'awareness',
      update: states([
        [77, 2, 'null'],
        [5, 1, '{"name":"own"}'],
      ]),
    });
    await honest.next('awareness');
    const present = await presentTo(server);
    expect(present).toContain('victim');
    expect(present).not.toContain('mallory');
  });

  it('[THR-6] a clock near 2^53 and a state that is no JSON are dropped', async () => {
    const { server, attacker } = await world();
    attacker.send({ type: 'awareness', update: states([[90, 2 ** 53 - 1, '{"name":"far"}']]) });
    attacker.send({ type: 'awareness', update: states([[91, 1, '{"name":']]) });
    attacker.send({
      type: 'awareness',
      update: states([[92, 1, '['.repeat(6_000) + ']'.repeat(6_000)]]),
    });
    attacker.send({ type: 'awareness', update: states([[93, 1, '{"name":"near"}']]) });
    const present = await presentTo(server);
    expect(present).toContain('near');
    expect(present).not.toContain('far');
    expect(attacker.closed).toBeUndefined();
  });

  it('[AWR-7] more states in one message than any room has people end its session', async () => {
    const { elsewhere, attacker } = await world();
    const flood = Array.from({ length: 10_001 }, (_, i): [number, number, string] => [i, 1, '{}']);
    attacker.send({ type: 'awareness', update: states(flood) });
    expect((await attacker.untilClosed()).code).toBe(4400);
    await otherRoomWorks(elsewhere);
  });

  it('[THR-7] of 10,000 states in one message a session keeps 64, and none when it leaves', async () => {
    const { server, honest, elsewhere, attacker } = await world();
    const flood = Array.from({ length: 10_000 }, (_, i): [number, number, string] => [i, 1, '{}']);
    attacker.send({ type: 'awareness', update: states(flood) });
    await otherRoomWorks(elsewhere);
    const { update } = await honest.next('awareness');
    expect(update[0]).toBe(64);
    const heard = honest.received.length;
    attacker.socket.close();
    expect((await honest.next('awareness', heard)).update[0]).toBe(64);
    const fresh = await RawClient.connect(server, 'attacked');
    await fresh.join(new Y.Doc());
    expect(fresh.received.some(({ type }) => type === 'awareness')).toBe(false);
  });
});
