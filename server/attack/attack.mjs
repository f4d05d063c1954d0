/**
 * What an attack is made of: sockets, tokens, addresses, and a count of how the server
 * answered. Everything that it is told is kept to be searched for tokens.
 */
import { connect } from 'node:net';
import { signToken } from '@cowrite/server';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { framed, Peer } from './peer.mjs';

const DEADLINE_MS = 10_000;
/** Different answers that are kept; there are no more where all is well. */
const MAX_ANSWERS = 10_000;

export class Attacker {
  #isOver = false;
  #stop;
  #tally = new Map();
  #problems = new Set();
  #notes = [];
  #tokens = new Map();
  #answers = new Set();
  #peers = new Set();
  /** Of the attack, from one of its parts to the next. */
  state;

  /** @param settings `number` of this attempt: its addresses, users and rooms are its own */
  constructor({ url, secret, number }) {
    this.url = url;
    this.secret = secret;
    this.number = number;
    this.stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  get isOver() {
    return this.#isOver;
  }

  stop() {
    this.#isOver = true;
    this.#stop();
  }

  /** What is thrown is a problem of the server's or of the attack's, and either way none is passed over. */
  async doing(action) {
    try {
      await action();
    } catch (error) {
      this.problem(error.stack);
    }
  }

  problem(words) {
    if (this.#problems.size < 10) this.#problems.add(words);
  }

  /** For the table. */
  note(words) {
    this.#notes.push(words);
  }

  count(outcome, times = 1) {
    this.#tally.set(outcome, (this.#tally.get(outcome) ?? 0) + times);
  }

  counted(outcome) {
    return this.#tally.get(outcome) ?? 0;
  }

  heard(answer) {
    if (this.#answers.size < MAX_ANSWERS) this.#answers.add(answer);
  }

  report() {
    for (const peer of this.#peers) peer.cut();
    return {
      tally: Object.fromEntries(this.#tally),
      problems: [...this.#problems],
      notes: this.#notes,
      tokens: [...this.#tokens.values()],
      answers: [...this.#answers],
    };
  }

  /**
   * So many do it at once, again and again until it is over, each from an address of its own.
   *
   * @param isEnough what a slow machine may need longer for than the attack lasts
   */
  async lanes(count, action, isEnough = () => true) {
    const lane = async (n) => {
      while (!this.isOver || !isEnough()) await action(n);
    };
    await Promise.all(Array.from({ length: count }, (_, n) => lane(n)));
  }

  room(name) {
    return `${name}-${this.number}`;
  }

  /** @param n whose; every attempt has 65,536 of its own */
  address(n) {
    return `10.${this.number % 256}.${Math.floor(n / 256) % 256}.${n % 256}`;
  }

  /** The same one for the same question, as an application would give it. */
  async token(user, rooms, expiresIn = '1h') {
    const key = JSON.stringify([user, rooms, expiresIn]);
    const known = this.#tokens.get(key);
    if (known !== undefined) return known;
    const { secret } = this;
    return this.used(await signToken({ user: { id: user }, rooms, expiresIn }, { secret }), key);
  }

  /** It will be searched for. */
  used(token, key = token) {
    this.#tokens.set(key, token);
    return token;
  }

  /**
   * @param options `token`: made if it is left out, none if null; `via`: where it stands;
   *   `path` instead of the room's
   * @returns undefined when it was refused, which is counted as `refused <status>`
   */
  async connect(room, options = {}) {
    const { lane = 0, user = `user-${this.number}-${lane}`, access = 'write' } = options;
    const token =
      options.token === undefined ? await this.token(user, { '*': access }) : options.token;
    const { via = 'subprotocol', path = `/${encodeURIComponent(room)}`, headers = {} } = options;
    const protocols = options.protocols ?? ['cowrite.v1'];
    const all = { 'X-Forwarded-For': options.address ?? this.address(lane), ...headers };
    let query = '';
    if (token !== null) {
      if (via === 'query') query = `?token=${encodeURIComponent(token)}`;
      else if (via === 'header') all.Authorization = `Bearer ${token}`;
      else protocols.push(`cowrite.token.${token}`);
    }
    return await new Promise((resolve) => {
      const socket = new WebSocket(`${this.url}${path}${query}`, protocols, {
        headers: all,
        perMessageDeflate: false,
        skipUTF8Validation: true,
      });
      const peer = new Peer(socket);
      socket.once('open', () => {
        this.#peers.add(peer);
        resolve(peer);
      });
      socket.once('unexpected-response', (request, response) => {
        this.count(`refused ${response.statusCode}`);
        options.onRefused?.(response.statusCode);
        let text = JSON.stringify(response.headers);
        response.setEncoding('latin1').on('data', (part) => {
          text += part;
        });
        response.once('close', () => {
          this.heard(text);
          request.destroy();
          resolve(undefined);
        });
      });
      socket.on('error', () => resolve(undefined));
      socket.once('close', (code, reason) => {
        this.heard(`${code} ${reason}`);
        this.#peers.delete(peer);
        if (peer.wasOpen && !peer.isLeaving) this.count(`closed ${code}`);
        resolve(undefined);
      });
    });
  }

  /**
   * Sockets that send without end, and are there again when they were closed.
   *
   * @param options of {@link connect}, and `isReading`: false for those that read nothing
   * @param batch the messages of a socket, numbered on, in this round of its
   */
  async flood({ lanes, room, isReading = true, onMessage, ...options }, batch) {
    let sockets = 0;
    await this.lanes(lanes, async (lane) => {
      const peer = await this.connect(room, { lane, ...options });
      if (peer === undefined) return;
      peer.onBytes = onMessage;
      if (!isReading) peer.pause();
      const n = sockets++;
      for (let round = 0; !this.isOver; round++) {
        if (!(await peer.pour(framed(batch(n, round)), () => this.isOver))) break;
      }
    });
  }

  /** The path as it is, without a client that makes it proper. @returns the status; 0 for none */
  async knock(path, { lane = 0 } = {}) {
    const { hostname, port } = new URL(this.url);
    const token = await this.token(`user-${this.number}-${lane}`, { '*': 'write' });
    return await new Promise((resolve) => {
      const socket = connect({ host: hostname, port: Number(port) });
      let answer = '';
      socket.setEncoding('latin1').on('data', (text) => {
        answer += text;
        if (answer.startsWith('HTTP/1.1 101')) socket.destroy();
      });
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.heard(answer);
        const status = Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1] ?? 0);
        this.count({ 0: 'reset', 101: 'entered' }[status] ?? `refused ${status}`);
        resolve(status);
      });
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\n` +
          'Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n' +
          `Sec-WebSocket-Version: 13\r\nX-Forwarded-For: ${this.address(lane)}\r\n` +
          `Authorization: Bearer ${token}\r\n\r\n`,
      );
    });
  }

  /** One that is needed for what follows, and is sure to be let in. */
  async surely(room, options) {
    const peer = await this.connect(room, { lane: 65_000, ...options });
    if (peer === undefined) throw new Error(`${room} could not be entered`);
    return peer;
  }

  /** Writes an honest document, and waits until it is on disk. */
  async plant(room, update = honest()) {
    const peer = await this.surely(room);
    peer.send({ type: 'update', update });
    await peer.untilSaved(1);
    peer.leave();
  }

  /** @returns the room's updates as somebody who joins is sent them */
  async updates(room) {
    const peer = await this.surely(room);
    const updates = [];
    peer.send({ type: 'step1', stateVector: Uint8Array.of(0) });
    await peer.until((message) => {
      if (message.type === 'update' || message.type === 'step2') updates.push(message.update);
      return message.type === 'step2';
    });
    peer.leave();
    return updates;
  }

  async read(room) {
    const doc = new Y.Doc();
    for (const update of await this.updates(room)) Y.applyUpdate(doc, update);
    if (doc.store.pendingStructs !== null) this.problem(`${room} has something pending`);
    return doc;
  }

  /** The room opens, and is as {@link plant} left it. */
  async mustBeHonest(room) {
    const text = (await this.read(room)).getText('t').toString();
    if (text !== HONEST) this.problem(`${room} holds ${JSON.stringify(text.slice(0, 80))}`);
  }
}

export const HONEST = 'honest';

/** Of client 77, whom some of the crafted inputs are aimed at. */
function honest() {
  const doc = new Y.Doc();
  doc.clientID = 77;
  doc.getText('t').insert(0, HONEST);
  return Y.encodeStateAsUpdate(doc);
}

/** Rejects what never comes. */
export async function inTime(promise, what, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, ms, new Error(`${what} did not come in ${ms} ms`));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
