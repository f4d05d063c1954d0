/**
 * A client's end of one TCP connection: it sends any bytes, and reads what comes back as
 * an HTTP answer and then as WebSocket frames.
 *
 * Invariant: what the server sends is held to the RFC. A frame of its that is none is
 * kept as {@link RawSocket.complaint}: it may be the end of another frame's payload.
 */
import { connect, type Socket } from 'node:net';
import { Dice } from '../test/seeded.js';
import { closing, frame, OPCODE } from './wire.js';

const FENCE = 'fence ';
const HEAD_END = '\r\n\r\n';

export class RawSocket {
  readonly #socket: Socket;
  /** Or gone before it was. */
  readonly connected: Promise<void>;
  /** Of its own: when the server sends a ping is no matter of the seed. */
  readonly #dice = new Dice(0);
  /** Whether it answers pings, and close frames. */
  readonly isPolite: boolean;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of a payload that are still to come and do not matter. */
  #skip = 0;
  /** A message of which a fragment has come, and not the last. */
  #isFragmented = false;
  #wake: () => void = () => undefined;
  /** Of the answer to the upgrade. */
  status: number | undefined;
  closeCode: number | undefined;
  /** Pings sent from here by {@link RawSocket.fence}, and how many of them are answered. */
  #fences = 0;
  fencesPassed = 0;
  isGone = false;
  complaint: string | undefined;

  constructor(port: number, isPolite: boolean) {
    this.isPolite = isPolite;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.connected = new Promise((resolve) => {
      this.#socket.once('connect', resolve).once('close', () => resolve());
    });
    this.#socket.on('data', (bytes) => {
      this.#read(bytes);
      this.#wake();
    });
    // A reset is followed by the close event.
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.isGone = true;
      this.#wake();
    });
  }

  write(bytes: Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** A ping: its answer says that the server has read what was sent before it. */
  fence(): Buffer {
    return frame(Buffer.from(`${FENCE}${++this.#fences}`), { opcode: OPCODE.ping }, this.#dice);
  }

  get fences(): number {
    return this.#fences;
  }

  /** Resolves once it holds or the socket is gone. @returns false when neither comes in time */
  async until(holds: () => boolean, ms: number): Promise<boolean> {
    if (holds() || this.isGone) return true;
    return await new Promise((resolve) => {
      const end = (inTime: boolean): void => {
        clearTimeout(timer);
        this.#wake = () => undefined;
        resolve(inTime);
      };
      const timer = setTimeout(() => end(false), ms);
      this.#wake = () => {
        if (holds() || this.isGone) end(true);
      };
    });
  }

  /** What the server sends stays in the kernel. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** FIN: nothing more will come from here. */
  end(): void {
    this.#socket.resume();
    this.#socket.end();
  }

  /** RST: leaves no port behind in TIME_WAIT. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  #read(bytes: Buffer): void {
    let data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = Buffer.alloc(0);
    if (this.status === undefined) {
      const end = data.indexOf(HEAD_END);
      if (end < 0) {
        this.#rest = data;
        return;
      }
      this.status = Number(/^HTTP\/1\.1 (\d{3})/.exec(data.toString('latin1', 0, end))?.[1] ?? 0);
      data = data.subarray(end + HEAD_END.length);
    }
    if (this.status !== 101) return;
    while (data.length > 0 && this.complaint === undefined) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, data.length);
        this.#skip -= skipped;
        data = data.subarray(skipped);
        continue;
      }
      const size = this.#readFrame(data);
      if (size === 0) break;
      data = data.subarray(size);
    }
    this.#rest = data;
  }

  /** @returns how many bytes were read; 0 when more have to come first */
  #readFrame(data: Buffer): number {
    if (data.length < 2) return 0;
    const opcode = data[0]! & 15;
    const isFinal = data[0]! >= 0x80;
    const short = data[1]! & 127;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (data.length < start) return 0;
    const length =
      short < 126 ? short : data.readUIntBE(start - (short === 126 ? 2 : 6), start === 4 ? 2 : 6);
    if (opcode >= 8) {
      if (data.length < start + length) return 0;
      this.#control(opcode, data.subarray(start, start + length));
    } else {
      if ((opcode === OPCODE.continuation) !== this.#isFragmented) this.#complain(data);
      this.#isFragmented = !isFinal;
      this.#skip = length;
    }
    const isKnown =
      opcode === 0 || opcode === 2 || (opcode >= 8 && opcode <= 10 && isFinal && short < 126);
    if (!isKnown || data[0]! & 0x70 || data[1]! & 0x80) this.#complain(data);
    return opcode >= 8 ? start + length : start;
  }

  #complain(data: Buffer): void {
    this.complaint ??= `what the server sent is no frame: ${data.toString('hex', 0, 20)}`;
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.pong && payload.indexOf(FENCE) === 0) {
      this.fencesPassed = Number(payload.subarray(FENCE.length));
    }
    if (opcode === OPCODE.ping && this.isPolite) {
      this.write(frame(payload, { opcode: OPCODE.pong }, this.#dice));
    }
    if (opcode === OPCODE.close) {
      this.closeCode = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
      if (this.isPolite) this.write(frame(closing(1000), { opcode: OPCODE.close }, this.#dice));
    }
  }
}
