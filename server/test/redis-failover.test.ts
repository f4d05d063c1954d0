/** Two servers with their documents, their relay and their presence in a Redis that fails over under them. */
import { CowriteProvider } from '@cowrite/client';
import { type CowriteServer, RedisPresence, RedisRelay, RedisStorage } from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { PATIENT, startPair } from './redis-pair.js';
import { socketUrl, startServer } from './support.js';

describe('[STO-72] Redis fails over', () => {
  async function serverAt(url: string, lines: unknown[]): Promise<CowriteServer> {
    const options = { lookMs: 50 };
    const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    return await startServer({
      storage: await RedisStorage.open(url, options),
      redis: {
        relay: await RedisRelay.open(url, options),
        presence: await RedisPresence.open(url, options),
      },
      logger,
    });
  }

  function writer(server: CowriteServer, name: string) {
    const doc = new Y.Doc();
    const provider = new CowriteProvider({ url: socketUrl(server), room: 'room', doc, WebSocket });
    onTestFinished(() => provider.destroy());
    let count = 0;
    return {
      doc,
      provider,
      write: () => {
        doc.getArray('words').push([`${name}${count++}`]);
        provider.awareness.setLocalStateField('count', count);
      },
    };
  }
  const wordsIn = (doc: Y.Doc) => doc.getArray<string>('words').toArray();

  it('[STO-72] what the server that takes over lacks is brought by clients, and all hold the same', async () => {
    const pair = await startPair();
    const lines: string[] = [];
    const servers = await Promise.all([serverAt(pair.url, lines), serverAt(pair.url, lines)]);
    const people = ['a', 'b', 'c', 'd'].map((name, i) => writer(servers[i % 2]!, name));
    await vi.waitFor(() => {
      expect(people.map(({ provider }) => provider.synced)).toEqual([true, true, true, true]);
    }, PATIENT);
    const untilSaved = () =>
      vi.waitFor(() => {
        expect(people.map(({ provider }) => provider.unsaved)).toEqual([
          false,
          false,
          false,
          false,
        ]);
      }, PATIENT);
    const writeAll = async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        for (const { write } of people) write();
        await untilSaved();
      }
    };
    await writeAll(5);
    await pair.inStep();
    // Acknowledged by the first from here on, and never replicated.
    await pair.promote();
    await writeAll(10);
    pair.lead();
    await pair.demote();
    for (const { write } of people) write();

    const all = people.map(({ doc }) => doc);
    await vi.waitFor(() => {
      for (const doc of all) expect(wordsIn(doc)).toHaveLength(4 * 16);
      for (const doc of all) expect(wordsIn(doc)).toEqual(wordsIn(all[0]!));
    }, PATIENT);
    await untilSaved();
    expect(new Set(wordsIn(all[0]!)).size).toBe(4 * 16);
    // It is what the store has, too.
    const late = writer(servers[0]!, 'late');
    await vi.waitFor(() => expect(wordsIn(late.doc)).toEqual(wordsIn(all[0]!)), PATIENT);
    // Everybody sees everybody, on both servers.
    await vi.waitFor(() => {
      for (const { provider } of people) {
        const counts = [...provider.awareness.getStates().values()].map(({ count }) => count);
        expect(counts.filter((count) => count === 16)).toHaveLength(4);
      }
    }, PATIENT);
    expect(lines.filter((line) => line.includes('the store has failed over'))).toHaveLength(2);
    expect(lines.filter((line) => line.includes('lost entries'))).toEqual([]);
  });
});
