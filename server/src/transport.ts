/**
 * Sockets: the upgrade, the frames in and out, backpressure, dead peers.
 *
 * Invariants: what a connection holds for its peer is the frames it was given
 * and nothing else, and it tells how much that is; so it does of what lies in the
 * kernel unread, where a peer that stopped reading would cost megabytes unseen; a
 * socket from which no byte arrives is closed within two heartbeats and a look, and
 * one from which bytes arrive is not, however slowly they make up a message.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CLOSE } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import { type RawData, type Server as SocketServer, WebSocket, WebSocketServer } from 'ws';
import type { Clock, Timer } from './clock.js';
import { chooseDialect, type Dialect } from './dialect.js';
import type { Frame } from './frame.js';
import type { Refusal, SocketMeasures } from './measures.js';
import { readRoomName } from './room-name.js';
import { asksForWebSocket, listenForUpgrades } from './upgrade-offers.js';

export interface TransportOptions {
  readonly clock: Clock;
  /** Bytes of one message from a client, at most; beyond it the socket is closed with 1009. */
  readonly maxMessageBytes: number;
  /** A peer that is silent for twice as many milliseconds is cut off. */
  readonly heartbeat: number;
  readonly onTooLarge: () => void;
  /** It has ended without a close frame, after as many milliseconds in which nothing was sent or heard. */
  readonly onCutOff: (address: string | undefined, silence: number) => void;
  readonly measures: SocketMeasures;
  readonly logger: Logger;
}

/** An upgrade that is not carried out. */
export class UpgradeRefused extends Error {
  override readonly name = 'UpgradeRefused';
  readonly status: number;
  readonly reason: Refusal;
  /** Seconds after which another attempt makes sense, where that is known. */
  readonly retryAfter: number | undefined;
  /** What only the log says: why, and what can be done about it. */
  readonly explanation: Readonly<Record<string, string>> | undefined;

  constructor(
    status: number,
    message: string,
    reason: Refusal,
    more: Pick<Partial<UpgradeRefused>, 'retryAfter' | 'explanation'> = {},
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfter = more.retryAfter;
    this.explanation = more.explanation;
  }
}

export interface Upgrade {
  readonly room: string;
  /** What the log calls this request, and the connection that it becomes. */
  readonly id: number;
  /** What a proxy calls it, in `X-Request-Id`. */
  readonly proxyId: string | undefined;
  readonly request: IncomingMessage;
}

/** What the owner of a connection hears of it. */
export interface ConnectionEvents {
  onMessage(bytes: Uint8Array): void;
  /** The peer sent something that is not a binary frame. */
  onText(): void;
  onPing(): void;
  /** The peer sent a message that is larger than it may be; the socket is being closed. */
  onTooLarge(): void;
  /** Nothing waits any more, as {@link Connection.buffered} counts it. */
  onDrain(): void;
  onClose(): void;
  /** Called {@link LOOKS} times in a heartbeat. */
  onHeartbeat(): void;
}

/** As RFC 6455 calls the end of a connection without a close frame. */
const CUT_OFF = 1006;
/** As it calls what is no frame of its making. */
const NO_FRAME = 1002;
/** Bytes that may lie in Node's own queue of a socket; the rest waits as shared frames. */
const SOCKET_BUFFER = 256 * 1024;
/** Bytes behind the last that the peer has read, from which on it is asked how far it is. */
const ASK_BYTES = 128 * 1024;
/** Milliseconds after a pause in which nobody is blamed for pongs that are not there yet. */
const PONG_PATIENCE = 5_000;
/** Bytes that may be on their way to the peer; those beyond are taken to lie unread in some kernel. */
const IN_FLIGHT = 256 * 1024;

/** Milliseconds within which a peer has to end its side of a closed socket, before it is cut off. */
const PATIENCE = 5_000;
/**
 * Bytes that are read, and thrown away, of a peer that goes on sending after a broken frame, or as
 * many as a message may have: so who sends up to twice that is heard to the end.
 */
const LINGER_BYTES = 1024 * 1024;

/**
 * Knows whose it is, so that all sockets share their listeners: a closure for each
 * event of each socket is a fifth of what an idle connection weighs.
 */
class ConnectedSocket extends WebSocket {
  connection: Connection | undefined;
}

function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  (this as ConnectedSocket).connection?.received(data as Buffer, isBinary);
}

function onPing(this: WebSocket): void {
  (this as ConnectedSocket).connection?.pinged();
}

function onPong(this: WebSocket, payload: Buffer): void {
  (this as ConnectedSocket).connection?.answered(payload);
}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  (this as ConnectedSocket).connection?.closed(code, reason);
}

/** The same for the socket below, of which ws knows nothing more than that it writes. */
interface ConnectedTcp extends Socket {
  cowrite?: Connection;
}

function onDrain(this: Socket): void {
  (this as ConnectedTcp).cowrite?.drained();
}

function onError(this: WebSocket, error: NodeJS.ErrnoException): void {
  (this as ConnectedSocket).connection?.failed(error);
}

export class Connection {
  readonly #webSocket: ConnectedSocket;
  readonly #socket: Socket;
  readonly #options: TransportOptions;
  readonly #clock: Clock;
  readonly #all: Set<Connection>;
  /** Chunks that the socket has not been given yet, in order. */
  #queue: Frame['chunks'][number][] = [];
  #queuedBytes = 0;
  /** Bytes that the socket was given; those of them that a ping asked about; those that its answer says were read. */
  #written = 0;
  #asked = 0;
  #read = 0;
  /** In whole milliseconds: others cost each connection an object more. */
  #lastHeard: number;
  #lastSent: number;
  readonly #openedAt: number;
  /** Bytes that had arrived at the last look, and at which look there were more for the last time. */
  #arrived = 0;
  #arrivedAt = 0;
  #receivedMessages = 0;
  #receivedBytes = 0;
  #sentMessages = 0;
  /** How this side has ended it, where it has. */
  #end: { readonly code: number; readonly reason: string } | undefined;
  #closing: Timer | undefined;
  #isPaused = false;
  #isStopped = false;
  /** Until then its pongs may lie behind what was not read. */
  #deafUntil = 0;
  events: ConnectionEvents | undefined;

  /** @param all has this one from now on, until it is closed */
  constructor(
    webSocket: ConnectedSocket,
    socket: Socket,
    options: TransportOptions,
    all: Set<Connection>,
  ) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    const { clock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#all = all;
    this.#lastHeard = Math.floor(clock.now());
    this.#openedAt = this.#lastHeard;
    this.#lastSent = this.#lastHeard;
    all.add(this);
    webSocket.connection = this;
    webSocket.on('message', onMessage);
    webSocket.on('ping', onPing);
    webSocket.on('pong', onPong);
    webSocket.on('close', onClose);
    webSocket.on('error', onError);
    (socket as ConnectedTcp).cowrite = this;
    socket.on('drain', onDrain);
  }

  /** For the listeners above, as those that follow. */
  received(data: Buffer, isBinary: boolean): void {
    this.heard();
    this.#receivedMessages++;
    this.#receivedBytes += data.length;
    if (isBinary) this.events?.onMessage(data);
    else this.events?.onText();
  }

  pinged(): void {
    this.heard();
    this.events?.onPing();
  }

  failed({ code, message }: NodeJS.ErrnoException): void {
    const isTooLarge = code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
    if (isTooLarge) this.#options.onTooLarge();
    const isFrame = code?.startsWith('WS_ERR_') === true;
    const closeCode = isTooLarge ? CLOSE.messageTooBig : isFrame ? NO_FRAME : CUT_OFF;
    if (!isFrame) this.#noteCutOff();
    this.#end ??= { code: closeCode, reason: message };
    if (isTooLarge) this.events?.onTooLarge();
    if (isFrame) this.#linger();
    else this.#webSocket.terminate();
  }

  /**
   * ws has sent its close frame, and the end of the stream behind it, and hears no frames any more.
   * The peer may be in the midst of sending: a socket that is destroyed with bytes unread resets the
   * connection, which may throw away the close frame before the peer has read it.
   */
  #linger(): void {
    this.#drop();
    let left = Math.max(LINGER_BYTES, this.#options.maxMessageBytes);
    this.#socket.on('data', ({ length }: Buffer) => {
      left -= length;
      if (left < 0) this.#socket.pause();
    });
    this.#cutOffAfter(PATIENCE);
  }

  heard(): void {
    this.#lastHeard = Math.floor(this.#clock.now());
  }

  /**
   * Looks at what has arrived since the last look, `interval` milliseconds ago. A large message on a
   * slow line takes minutes until it is whole, and the pongs of its sender lie behind it.
   */
  look(interval: number): void {
    const { bytesRead } = this.#socket;
    if (bytesRead === this.#arrived) return;
    this.#arrived = bytesRead;
    this.#arrivedAt = Math.floor(this.#clock.now());
    // Heard of later than at the last look, it may have sent these bytes before it fell silent.
    if (this.silence > interval) this.heard();
  }

  /** Whether bytes have arrived of late: its pongs may lie behind more of them. */
  get isArriving(): boolean {
    return this.#clock.now() - this.#arrivedAt < this.#options.heartbeat;
  }

  answered(payload: Buffer): void {
    this.heard();
    if (payload.length !== 6) {
      // One that says nothing costs what a ping does.
      this.events?.onPing();
      return;
    }
    const read = payload.readUIntBE(0, 6);
    // Whoever lies about this has its own socket fill up, and nothing else.
    if (read <= this.#read || read > this.#asked) {
      this.events?.onPing();
      return;
    }
    this.#read = read;
    this.#askHowFar();
    if (this.buffered === 0) this.events?.onDrain();
  }

  closed(code: number, reason: Buffer): void {
    this.#all.delete(this);
    if (code === CUT_OFF) this.#noteCutOff();
    this.#end ??= { code, reason: reason.toString() };
    this.#options.measures.closed(this.#end.code, this.#clock.now() - this.#openedAt);
    this.#closing?.cancel();
    this.#drop();
    this.events?.onClose();
  }

  #noteCutOff(): void {
    if (this.#end !== undefined) return;
    const silence = this.#clock.now() - Math.max(this.#lastHeard, this.#lastSent);
    this.#options.onCutOff(this.#socket.remoteAddress, silence);
  }

  drained(): void {
    // A peer that reads is alive, also while a ping waits behind what it still has to read.
    this.heard();
    this.#pump();
    if (this.buffered === 0) this.events?.onDrain();
  }

  /** For the log, once it has ended. */
  get account(): Readonly<Record<string, unknown>> {
    return {
      code: this.#end?.code,
      reason: this.#end?.reason,
      seconds: Math.round((this.#clock.now() - this.#openedAt) / 100) / 10,
      messagesIn: this.#receivedMessages,
      bytesIn: this.#receivedBytes,
      messagesOut: this.#sentMessages,
      bytesOut: this.#written,
    };
  }

  /** Milliseconds since the peer was last heard of; none while nobody listens to it. */
  get silence(): number {
    return this.#isPaused ? 0 : this.#clock.now() - this.#lastHeard;
  }

  /** Milliseconds since a data frame was last sent. */
  get quiet(): number {
    return this.#clock.now() - this.#lastSent;
  }

  /** Bytes given to this connection that the kernel has not taken. */
  get untaken(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  /**
   * Bytes given to this connection that wait for the peer: those that the kernel has
   * not taken, and those that it has and that the peer leaves unread, beyond what may
   * well be on its way. A peer that answers no pings counts as one that does not read.
   */
  get buffered(): number {
    const isDeaf = this.#deafUntil > 0 && this.#deafUntil > this.#clock.now();
    const unread = isDeaf ? 0 : this.#written - this.#read - IN_FLIGHT;
    return this.#queuedBytes + Math.max(this.#socket.writableLength, unread);
  }

  get isOpen(): boolean {
    return this.#webSocket.readyState === this.#webSocket.OPEN;
  }

  /** The frame's buffers are shared with other connections; nothing is copied. */
  send(frame: Frame): void {
    if (!this.isOpen) return;
    this.#sentMessages++;
    this.#options.measures.sent.add(frame.type, frame.size);
    this.#lastSent = Math.floor(this.#clock.now());
    if (this.#queue.length === 0 && frame.chunks.length === 1) {
      this.#write(frame.chunks[0]!);
      this.#askHowFar();
      return;
    }
    for (const chunk of frame.chunks) this.#queue.push(chunk);
    this.#queuedBytes += frame.size;
    this.#pump();
  }

  #pump(): void {
    let next = 0;
    while (next < this.#queue.length && this.#socket.writableLength < SOCKET_BUFFER) {
      // All that there is room for in one call: a header alone costs as much as a packet, and wakes the peer.
      this.#socket.cork();
      do {
        const parts = this.#queue[next++]!;
        for (const part of parts) this.#queuedBytes -= part.length;
        if (this.isOpen) this.#write(parts);
      } while (next < this.#queue.length && this.#socket.writableLength < SOCKET_BUFFER);
      this.#askHowFar();
      this.#socket.uncork();
    }
    if (next > 0) this.#queue.splice(0, next);
    this.#askHowFar();
  }

  /** All parts of a chunk at once: between a header and its payload nothing may pass, not even a ping. */
  #write(parts: Frame['chunks'][number]): void {
    for (const part of parts) {
      this.#written += part.length;
      this.#socket.write(part);
    }
  }

  /** A ping is answered once what was sent before it is read; it carries how much that was. */
  ping(): void {
    if (!this.isOpen) return;
    this.#asked = this.#written;
    const payload = Buffer.allocUnsafe(6);
    payload.writeUIntBE(this.#asked, 0, 6);
    this.#webSocket.ping(payload);
  }

  #askHowFar(): void {
    const isAsked = this.#asked > this.#read;
    if (!isAsked && this.#written - this.#read >= ASK_BYTES) this.ping();
  }

  /** Stops reading: what the peer sends waits in its and the kernel's buffers. */
  pause(): void {
    // While it closes, the peer's half of the handshake has to be read.
    if (this.#closing !== undefined) return;
    this.#isPaused = true;
    this.#deafUntil = Number.POSITIVE_INFINITY;
    this.#webSocket.pause();
  }

  /** Nothing is read any more, whoever resumes it: the server closes. */
  stop(): void {
    this.pause();
    this.#isStopped = true;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  resume(): void {
    if (this.#isStopped) return;
    if (this.#isPaused) this.#deafUntil = Math.floor(this.#clock.now()) + PONG_PATIENCE;
    this.#isPaused = false;
    this.heard();
    this.#webSocket.resume();
  }

  /**
   * Starts the closing handshake behind what the socket was already given, and
   * drops what still waits. A peer that does not answer within `patience`
   * milliseconds is cut off.
   */
  close(code: number, reason: string, patience = PATIENCE): void {
    if (this.#closing !== undefined || !this.isOpen) return;
    // A message of which fragments are on their way cannot be followed by a close frame that means anything.
    this.#drop();
    this.#end = { code, reason };
    this.#cutOffAfter(patience);
    // Also after a stop: the peer's half of the handshake has to be read.
    this.#webSocket.resume();
    this.#webSocket.close(code, reason);
  }

  #drop(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #cutOffAfter(patience: number): void {
    this.#closing ??= this.#clock.after(patience, () => this.#webSocket.terminate());
  }

  /** Cuts it off, because of what the reason says. */
  terminate(reason: string): void {
    this.#end ??= { code: CUT_OFF, reason };
    this.#webSocket.terminate();
  }
}

/**
 * In a heartbeat every connection is looked at so many times: one that was sent nothing is then
 * sent a sign of life in time for its client, which may wait for one.
 */
const LOOKS = 3;
/** A look goes through so many parts of the connections, one at a time. */
const PARTS = 20;

export class Transport {
  readonly #options: TransportOptions;
  readonly #webSockets: SocketServer<typeof ConnectedSocket>;
  readonly #connections = new Set<Connection>();
  /** Milliseconds between two looks at a connection. */
  readonly #interval: number;
  readonly #beats: Timer;
  /** Goes round all connections, those that come meanwhile too. */
  #round: Iterator<Connection, undefined> = this.#connections.values();
  /** How many are to be looked at, times {@link PARTS}. */
  #due = 0;
  #lastBeat: number;
  /** Until then nobody's silence counts. */
  #mercyUntil = Number.NEGATIVE_INFINITY;
  /** Sockets whose upgrade is not decided yet. */
  readonly #upgrading = new Set<Duplex>();
  #requests = 0;
  #accepting = true;

  /**
   * @param accept decides about an upgrade whose path is right; throws
   *   {@link UpgradeRefused}, or returns what is done with the open connection
   */
  constructor(
    options: TransportOptions,
    server: Server,
    accept: (upgrade: Upgrade) => Promise<(connection: Connection, dialect: Dialect) => void>,
  ) {
    this.#options = options;
    this.#lastBeat = options.clock.now();
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      WebSocket: ConnectedSocket,
      maxPayload: options.maxMessageBytes,
      handleProtocols: (offered) => chooseDialect(offered).subprotocol ?? false,
    });
    listenForUpgrades(server, (request, socket, head) => {
      if (!asksForWebSocket(request)) return false;
      // Until ws takes the socket over nobody else would hear of its errors.
      const onError = () => socket.destroy();
      socket.on('error', onError);
      this.#upgrading.add(socket);
      const onClose = () => this.#upgrading.delete(socket);
      socket.once('close', onClose);
      options.measures.attempts++;
      this.#upgrade(request, accept)
        .then(
          (opened) => {
            this.#upgrading.delete(socket);
            socket.off('error', onError);
            // What is left of this turn keeps the whole request in memory.
            socket.off('close', onClose);
            this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
              const { socket: tcp } = request;
              const connection = new Connection(webSocket, tcp, options, this.#connections);
              opened(connection, dialectOf(request));
            });
          },
          (error: unknown) => {
            if (!(error instanceof UpgradeRefused)) {
              options.logger.error({ err: error }, 'an upgrade failed');
            }
            const refusal =
              error instanceof UpgradeRefused
                ? error
                : new UpgradeRefused(500, 'internal error', 'internal');
            options.measures.refusals.add(refusal.reason);
            refuse(socket, refusal, proxyIdOf(request));
          },
        )
        .catch((error: unknown) => {
          // Whatever it was, it is this socket's alone.
          options.logger.error({ err: error }, 'an upgrade failed');
          socket.destroy();
        });
      return true;
    });
    this.#interval = options.heartbeat / LOOKS;
    this.#beats = options.clock.every(this.#interval / PARTS, () => this.#beat());
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  /**
   * What an upgrade of this request would be answered.
   *
   * @param decide throws {@link UpgradeRefused} where it would not be carried out
   */
  async wouldAnswer(
    request: IncomingMessage,
    decide: (upgrade: Upgrade) => Promise<void>,
  ): Promise<{ status: number; message: string; retryAfter?: number | undefined }> {
    try {
      await this.#upgrade(request, decide);
      return { status: 426, message: 'you may come in: with a WebSocket' };
    } catch (error) {
      if (!(error instanceof UpgradeRefused)) throw error;
      return error;
    }
  }

  async #upgrade<Opened>(
    request: IncomingMessage,
    accept: (upgrade: Upgrade) => Promise<Opened>,
  ): Promise<Opened> {
    if (!this.#accepting) throw leaving();
    const room = readRoomName(request.url ?? '');
    if (room === undefined) throw new UpgradeRefused(404, 'rooms are at /ws/<room>', 'room-name');
    if (!room.ok) throw new UpgradeRefused(400, room.problem, 'room-name');
    const opened = await accept({
      room: room.name,
      request,
      id: ++this.#requests,
      proxyId: proxyIdOf(request),
    });
    if (!this.#accepting) throw leaving();
    return opened;
  }

  /** Some of the connections: pings to a hundred thousand at once would keep everybody waiting. */
  #beat(): void {
    const { heartbeat, clock } = this.#options;
    const now = clock.now();
    // Whoever stood still, with its machine or in a long task, has heard nobody meanwhile.
    if (now - this.#lastBeat > heartbeat / 2) this.#mercyUntil = now + 2 * heartbeat;
    this.#lastBeat = now;
    this.#due += this.#connections.size;
    for (; this.#due >= PARTS; this.#due -= PARTS) {
      const connection = this.#next();
      if (connection === undefined) continue;
      connection.look(this.#interval);
      const { silence } = connection;
      if (silence > 2 * heartbeat && now >= this.#mercyUntil) {
        connection.terminate('nothing was heard of it');
      } else {
        if (silence >= heartbeat - this.#interval / 2) connection.ping();
        connection.events?.onHeartbeat();
      }
    }
  }

  #next(): Connection | undefined {
    const next = this.#round.next();
    if (!next.done) return next.value;
    this.#round = this.#connections.values();
    return this.#round.next().value;
  }

  /** From now on upgrades are answered with 503: another instance is to be asked, at once. */
  stopAccepting(): void {
    this.#accepting = false;
  }

  /** The same, and nothing more is read from the sockets. */
  stopReading(): void {
    this.stopAccepting();
    for (const connection of this.#connections) connection.stop();
  }

  /** Closes every socket and waits until they are gone, at most `patience` milliseconds. */
  async close(patience: number): Promise<void> {
    this.stopReading();
    this.#beats.cancel();
    for (const socket of this.#upgrading) socket.destroy();
    const gone = [...this.#connections].map((connection) => {
      const { events } = connection;
      return new Promise<void>((resolve) => {
        connection.events = {
          onMessage: () => undefined,
          onText: () => undefined,
          onPing: () => undefined,
          onTooLarge: () => undefined,
          onDrain: () => undefined,
          onHeartbeat: () => undefined,
          onClose: () => {
            events?.onClose();
            resolve();
          },
        };
        connection.close(CLOSE.restarting, RESTARTING, patience);
      });
    });
    await Promise.all(gone);
  }
}

/** As those are told whose sockets are closed with 1012. */
export const RESTARTING = 'this instance is restarting';
const RETRY_AFTER_S = 1;

function leaving(): UpgradeRefused {
  return new UpgradeRefused(503, 'this instance is closing', 'closing', {
    retryAfter: RETRY_AFTER_S,
  });
}

/** What a client will speak, by what it offers. */
export function dialectOf(request: IncomingMessage): Dialect {
  const header = request.headers['sec-websocket-protocol'] ?? '';
  const offered = header.split(',').map((name) => name.trim());
  return chooseDialect(new Set(offered.filter((name) => name !== ''))).dialect;
}

const REASONS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

function proxyIdOf({ headers }: IncomingMessage): string | undefined {
  const id = headers['x-request-id'];
  return typeof id === 'string' && /^[\w=-]{1,128}$/.test(id) ? id : undefined;
}

function refuse(
  socket: Duplex,
  { status, message, retryAfter }: UpgradeRefused,
  proxyId: string | undefined,
): void {
  const body = `${message}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Refused'}\r\n` +
      'Connection: close\r\n' +
      (retryAfter === undefined ? '' : `Retry-After: ${retryAfter}\r\n`) +
      (proxyId === undefined ? '' : `X-Request-Id: ${proxyId}\r\n`) +
      'Content-Type: text/plain; charset=utf-8\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  socket.once('finish', () => socket.destroy());
}
