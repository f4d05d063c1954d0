/** The command when it is told to end: exit codes, and what it says. Real processes, a real Redis. */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { startRedis } from './redis-service.js';
import { RawClient, startProcess, temporaryFolder, typed } from './support.js';

describe('[DRN] the command is told to end', () => {
  it('[DRN-8] ends with 1 when the store does not take everything, and lists what is missing', async () => {
    const redis = await startRedis();
    const server = await startProcess({ STORAGE_URL: redis.url, DRAIN_SECONDS: '4' });
    const writers = await Promise.all(
      ['plan', 'notes'].map((room) => RawClient.connect(server, room)),
    );
    for (const writer of writers) {
      await writer.join(new Y.Doc());
      await writer.untilSaved(1);
    }
    redis.pause();
    for (const [i, writer] of writers.entries()) {
      for (let n = 0; n <= i; n++) writer.send({ type: 'update', update: typed(`${n}`) });
      // Answered behind what was sent before.
      writer.send({ type: 'step1', stateVector: Uint8Array.of(0) });
      await writer.next('step2', writer.received.length);
    }
    const exited = once(server.child, 'exit');
    server.child.kill('SIGTERM');
    // While the store stands still: one that waits for it never ends.
    const [code] = await exited;
    redis.resume();
    expect(code).toBe(1);
    const lines = server
      .errors()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.find(({ unsaved }) => unsaved !== undefined)).toMatchObject({
      rooms: 2,
      unsaved: [
        { room: 'plan', updates: 1 },
        { room: 'notes', updates: 2 },
      ],
    });
    expect(writers.map(({ closed }) => closed?.code)).toEqual([1012, 1012]);
  });

  it('[DRN-11] a second signal ends it at once', async () => {
    const redis = await startRedis();
    const environment = { REDIS_URL: redis.url, DRAIN_SECONDS: '600' };
    const [one, two] = [await startProcess(environment), await startProcess(environment)];
    const [ada, bob] = [await RawClient.connect(one, 'room'), await RawClient.connect(two, 'room')];
    await Promise.all([ada.join(new Y.Doc()), bob.join(new Y.Doc())]);
    // Each instance has heard of the other.
    bob.send({ type: 'update', update: typed('bob') });
    await ada.next('update');
    one.child.kill('SIGINT');
    await ada.next('drain');
    const exited = once(one.child, 'exit');
    one.child.kill('SIGINT');
    expect((await exited)[0]).toBe(1);
  });

  it('[DRN-7] on an own disk the next process is there as soon as this one has saved', async () => {
    const environment = { STORAGE_URL: `lmdb:${temporaryFolder()}`, DRAIN_SECONDS: '600' };
    const server = await startProcess(environment);
    const ada = await RawClient.connect(server, 'room');
    await ada.join(new Y.Doc());
    ada.send({ type: 'update', update: typed('x') });
    const exited = once(server.child, 'exit');
    server.child.kill('SIGTERM');
    // One that waits for its deadline does not end before this test is given up.
    expect((await exited)[0]).toBe(0);
    expect(ada.closed?.code).toBe(1012);
    const next = await startProcess(environment);
    const reader = await RawClient.connect(next, 'room');
    await reader.join(new Y.Doc());
  });
});
