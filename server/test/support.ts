/** What the server's tests share: servers in this process and beside it, and a client that shows the wire. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CowriteProvider } from '@cowrite/client';
import { decodeMessage, encodeMessage, type Message } from '@cowrite/client/protocol';
import {
  type CowriteServer,
  createServer,
  type ServerOptions,
  type Storage,
} from '@cowrite/server';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { CLI } from './command-line.js';

/** A folder of its own for the running test, removed when it ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A server in this process on a free port, closed when the test ends. In memory unless told otherwise. */
export async function startServer(options: ServerOptions = {}): Promise<CowriteServer> {
  const server = await createServer({ port: 0, storage: 'memory:', logger: 'silent', ...options });
  onTestFinished(async () => {
    // A test that closes its server looks at how that ends by itself.
    await server.close().catch((error: unknown) => error);
  });
  return server;
}

export interface ServerProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** What it wrote to stderr so far. */
  readonly errors: () => string;
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
}

/** The real command as a process of its own, or another script that says the same when it is ready. */
export async function startProcess(
  environment: Record<string, string>,
  args: readonly string[] = [CLI],
): Promise<ServerProcess> {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, PORT: '0', LOG_LEVEL: 'warn', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const ready = /ready: (\S+)\n/.exec(output);
      if (ready !== null) resolve(ready[1]!);
    });
    exited.then(([code]) => reject(new Error(`the server ended with ${code}: ${errors}`)), reject);
  });
  return {
    url,
    child,
    errors: () => errors,
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const AN_HOUR = 3_600_000;

/** Limits of a server that closes nobody who stops reading, as behind or as silent, however slow the machine is. */
export const PATIENT = { behindMs: AN_HOUR, heartbeatMs: AN_HOUR };

/** What the server counts, as text. */
export async function readMetrics(
  server: { readonly url: string },
  adminToken: string,
): Promise<string> {
  const headers = { Authorization: `Bearer ${adminToken}` };
  const response = await fetch(`${server.url}/metrics`, { headers });
  if (response.status !== 200) throw new Error(`/metrics answered with ${response.status}`);
  return await response.text();
}

/** Something that waits until the test lets it pass. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** What was under way without a clock, a disk or a network has ended. */
export async function settled(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Resolves once the store has been given another snapshot. */
export async function untilCompacted(storage: Storage): Promise<void> {
  const compact = storage.compact.bind(storage);
  await new Promise<void>((resolve) => {
    storage.compact = async (...args) => {
      const done = await compact(...args);
      resolve();
      return done;
    };
  });
}

/** The address of the rooms of a server. */
export function socketUrl(server: { readonly url: string }): string {
  return `${server.url.replace('http', 'ws')}/ws`;
}

/** A client without a document: every message that arrives, in order. */
export class RawClient {
  readonly socket: WebSocket;
  readonly received: Message[] = [];
  closed: { code: number; reason: string } | undefined;
  #waiters: (() => void)[] = [];

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => {
      this.received.push(decodeMessage(data));
      this.#wake();
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#wake();
    });
    // A server that cuts the socket off is what some tests are about.
    socket.on('error', () => this.#wake());
  }

  static async connect(
    server: { readonly url: string },
    room: string,
    subprotocols: string[] = ['cowrite.v1'],
  ): Promise<RawClient> {
    const url = `${socketUrl(server)}/${encodeURIComponent(room)}`;
    const client = new RawClient(new WebSocket(url, subprotocols));
    onTestFinished(() => client.socket.terminate());
    if (client.socket.readyState !== WebSocket.OPEN) {
      await client.until(() => client.socket.readyState !== WebSocket.CONNECTING);
    }
    return client;
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  send(message: Message): void {
    this.socket.send(encodeMessage(message));
  }

  /** Waits until something holds; looks again at whatever arrives. @throws once nothing can arrive any more */
  async until(holds: () => boolean): Promise<void> {
    this.socket.once('open', () => this.#wake());
    while (!holds()) {
      if (this.closed !== undefined) {
        throw new Error(`the socket was closed with ${JSON.stringify(this.closed)}`);
      }
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** The first message of that type from `received[from]` on. */
  async next<T extends Message['type']>(type: T, from = 0): Promise<Extract<Message, { type: T }>> {
    const find = () => this.received.slice(from).find((message) => message.type === type);
    await this.until(() => find() !== undefined || this.closed !== undefined);
    const found = find();
    if (found === undefined) throw new Error(`closed with ${JSON.stringify(this.closed)}`);
    return found as Extract<Message, { type: T }>;
  }

  async untilClosed(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closed !== undefined);
    return this.closed!;
  }

  /** Enters the room with what the document holds, as a client does. */
  async join(doc: Y.Doc): Promise<void> {
    this.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
    const { stateVector } = await this.next('step1');
    const step2 = await this.next('step2');
    for (const message of this.received) {
      if (message.type === 'update') Y.applyUpdate(doc, message.update, 'server');
    }
    Y.applyUpdate(doc, step2.update, 'server');
    this.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc, stateVector) });
  }

  /** Resolves once the server has said that the first `count` document messages are on disk. */
  async untilSaved(count: number): Promise<void> {
    const isSaved = () =>
      this.received.some((message) => message.type === 'saved' && message.count >= count);
    await this.until(() => isSaved() || this.closed !== undefined);
    if (!isSaved()) throw new Error(`closed with ${JSON.stringify(this.closed)}`);
  }
}

/** A real y-websocket client, destroyed when the test ends. */
export function yWebsocket(
  server: { readonly url: string },
  room: string,
  doc = new Y.Doc(),
): WebsocketProvider {
  const provider = new WebsocketProvider(socketUrl(server), room, doc, {
    WebSocketPolyfill: WebSocket as never,
    disableBc: true,
  });
  onTestFinished(() => {
    provider.destroy();
    provider.awareness.destroy();
  });
  return provider;
}

export async function synced(provider: WebsocketProvider): Promise<void> {
  if (!provider.synced)
    await new Promise<void>((resolve) => provider.once('sync', () => resolve()));
}

/** What a client that has nothing is given. */
export async function served(
  server: { readonly url: string },
  room: string,
  token = '',
): Promise<Y.Doc> {
  const reader = new CowriteProvider({ url: socketUrl(server), room, WebSocket, token });
  try {
    await reader.whenSynced();
  } finally {
    reader.destroy();
  }
  return reader.doc;
}

/** An update by which somebody new types this. */
export function typed(text: string): Uint8Array {
  const doc = new Y.Doc();
  doc.getText('t').insert(0, text);
  return Y.encodeStateAsUpdate(doc);
}

/** Resolves once something holds of a document; looks again at each of its updates. */
export async function untilDoc(doc: Y.Doc, holds: () => boolean): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve) => {
    const look = () => {
      if (!holds()) return;
      doc.off('update', look);
      resolve();
    };
    doc.on('update', look);
  });
}
