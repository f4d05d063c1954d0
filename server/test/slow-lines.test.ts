/** Slow lines, up and down: who is at the other end of one is served, and not taken for dead. */
import { MemoryStorage } from '@cowrite/server';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { ManualClock } from '../src/clock.js';
import { slowLineTo } from './slow-line.js';
import { gate, RawClient, startServer } from './support.js';

/** Bytes a second of the slowest line that is to be enough. */
const SLOWEST = 64_000;

function manualClock(): ManualClock {
  const clock = new ManualClock();
  clock.soon = (call) => void setImmediate(call);
  return clock;
}

/** A document of so many bytes, by one client, in a few large items. */
function heavyDoc(bytes: number): Y.Doc {
  const doc = new Y.Doc();
  const pictures = doc.getArray<string>('pictures');
  for (let left = bytes; left > 0; left -= 40_000) pictures.push([`${left}`.padEnd(40_000, 'p')]);
  return doc;
}

describe('[LIVE] a slow line', () => {
  it('[LIVE-5] takes minutes for a large message up, which is saved, and meanwhile hears of the server', async () => {
    const clock = manualClock();
    const server = await startServer({ clock });
    const line = await slowLineTo(server);
    const connecting = RawClient.connect(line, 'room');
    const isOpen = connecting.then(() => true);
    while (!(await Promise.race([isOpen, tick()]))) await line.step(1e6, 1e6);
    const client = await connecting;
    while (client.received.length === 0) await move(1e6);
    const doc = heavyDoc(6_000_000);
    client.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc) });
    const from = client.received.length;
    let lastHeard = clock.now();
    let longest = 0;
    let heard = from;
    while (!client.received.some(({ type }) => type === 'saved')) {
      // What is due by now may still be on its way: a slow machine gets it without more time.
      if (clock.now() - lastHeard < 16_000) await move(SLOWEST);
      else await Promise.all([line.step(0, SLOWEST), tick()]);
      expect(client.closed).toBeUndefined();
      if (client.received.length === heard) continue;
      heard = client.received.length;
      longest = Math.max(longest, clock.now() - lastHeard);
      lastHeard = clock.now();
    }
    expect(clock.now()).toBeGreaterThan(90_000);
    // Clients wait 30 s, ours 20 s while something of theirs is not saved.
    expect(longest).toBeLessThan(17_000);
    expect(longest).toBeGreaterThan(0);

    /** What the line carries in a second each way, and the second. */
    async function move(bytes: number): Promise<void> {
      const { up } = await line.step(bytes, bytes);
      clock.advance((up / bytes) * 1_000);
      await tick();
    }
  });

  it('[LIVE-6] a session that is not read, and one whose room is being loaded, hear of the server within 15 s', async () => {
    const clock = manualClock();
    const storage = new MemoryStorage();
    const opening = gate();
    const load = storage.load.bind(storage);
    storage.load = async (room) => {
      if (room === 'slow') await opening.opened;
      return await load(room);
    };
    const server = await startServer({
      clock,
      storage,
      limits: { updateBytesPerSession: { perSecond: 10, burst: 1_000 }, loadMs: 60_000 },
    });
    const loading = await RawClient.connect(server, 'slow');
    const owing = await RawClient.connect(server, 'room');
    await owing.join(new Y.Doc());
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'x'.repeat(1_500));
    // It is read again in 50 s.
    owing.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    while (!owing.received.some((message) => message.type === 'saved' && message.count === 2)) {
      clock.advance(10);
      await tick();
    }
    for (const client of [loading, owing]) {
      let heard = client.received.length;
      for (let i = 0; i < 3; i++) {
        client.send({ type: 'probe' });
        const start = clock.now();
        while (client.received.length === heard) {
          if (clock.now() - start < 15_000) clock.advance(1_000);
          await tick();
        }
        heard = client.received.length;
      }
    }
    opening.open();
    await loading.next('step1');
  });

  it('[LIVE-7] who asks whether the line lives is answered at once, whether or not anything can be saved', async () => {
    const storage = new MemoryStorage();
    storage.append = () => new Promise(() => undefined);
    const server = await startServer({ storage, limits: { closeMs: 1 } });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'x');
    client.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    const from = client.received.length;
    client.send({ type: 'probe' });
    const { update } = await client.next('awareness', from);
    expect([...update]).toEqual([0]);
  });
});

/** Whatever can happen without time has happened, most likely. */
async function tick(): Promise<false> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  return false;
}
