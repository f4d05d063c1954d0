/**
 * A TCP proxy before Redis that can be cut, can swallow what Redis says, and can
 * drop, double and reorder published messages as they go to subscribers.
 *
 * Reads RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/) as
 * far as needed to see where one reply ends.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Dice } from './seeded.js';

export interface RedisProxy {
  readonly url: string;
  /** Where new connections are led from now on; the open ones stay where they are. */
  lead(port: number): void;
  /** Connections break, and new ones are refused at once. */
  cut(): void;
  /** Connections stay open, and nothing that Redis says on those of now gets through any more. */
  swallow(): void;
  /** From now on messages fare so, with these probabilities. */
  disturb(dice: Dice, how: { drop: number; double: number; reorder: number }): void;
  /** New connections get through, and messages arrive as they were sent. */
  heal(): void;
  /** How many messages were dropped, doubled or moved. */
  readonly disturbed: number;
}

export async function proxyTo(port: number): Promise<RedisProxy> {
  const pairs = new Set<[Socket, Socket]>();
  let target = port;
  let isCut = false;
  let swallowed = new Set<Socket>();
  let treat: ((message: Buffer) => Buffer[]) | undefined;
  let disturbed = 0;

  const server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const redis = connect(target, '127.0.0.1');
    const pair: [Socket, Socket] = [client, redis];
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      redis.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.on('data', (bytes) => redis.write(bytes));
    let rest: Buffer = Buffer.alloc(0);
    redis.on('data', (bytes) => {
      if (swallowed.has(client)) return;
      rest = Buffer.concat([rest, bytes]);
      for (let at = replyEnd(rest, 0); at > 0; at = replyEnd(rest, 0)) {
        const reply = rest.subarray(0, at);
        rest = rest.subarray(at);
        const isMessage = reply.subarray(0, MESSAGE.length).equals(MESSAGE);
        for (const out of isMessage && treat !== undefined ? treat(reply) : [reply])
          client.write(out);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const drop = () => {
    for (const [client, redis] of pairs) {
      client.destroy();
      redis.destroy();
    }
  };
  onTestFinished(() => {
    server.close();
    drop();
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lead(port) {
      target = port;
    },
    cut() {
      isCut = true;
      drop();
    },
    swallow() {
      swallowed = new Set([...pairs].map(([client]) => client));
    },
    disturb(dice, how) {
      let held: Buffer | undefined;
      treat = (message) => {
        const roll = dice.next();
        const out: Buffer[] = [];
        if (roll < how.drop) disturbed++;
        else if (roll < how.drop + how.reorder && held === undefined) {
          // It goes behind the next one.
          disturbed++;
          held = message;
          return out;
        } else {
          out.push(message);
          if (dice.chance(how.double)) {
            disturbed++;
            out.push(message);
          }
        }
        if (held !== undefined) out.push(held);
        held = undefined;
        return out;
      };
    },
    heal() {
      isCut = false;
      treat = undefined;
    },
    get disturbed() {
      return disturbed;
    },
  };
}

const MESSAGE = Buffer.from('>3\r\n$7\r\nmessage\r\n');

/** @returns where the reply that begins at `at` ends, or -1 when it is not all there */
function replyEnd(bytes: Buffer, at: number): number {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return -1;
  const next = lineEnd + 2;
  const count = Number(bytes.toString('latin1', at + 1, lineEnd));
  switch (String.fromCharCode(bytes[at]!)) {
    case '$':
    case '=':
    case '!': {
      const end = count < 0 ? next : next + count + 2;
      return end <= bytes.length ? end : -1;
    }
    case '*':
    case '~':
    case '>':
    case '%': {
      const values = bytes[at] === '%'.charCodeAt(0) ? 2 * count : count;
      let end = next;
      for (let i = 0; i < values && end >= 0; i++) end = replyEnd(bytes, end);
      return end;
    }
    default:
      return next;
  }
}
