/**
 * A WebSocket client that costs next to nothing: it reads into one buffer that all
 * sockets of the process share, answers pings (Cowrite counts who does not as not
 * reading), and hands over each message's first bytes and its length. What of a
 * message does not fit is counted and stepped over.
 */
import { connect } from 'node:net';

const SHARED = Buffer.allocUnsafe(1 << 20);
const MASK = [0x1b, 0x2c, 0x3d, 0x4e];
const PING = 9;
const CLOSE = 8;

/**
 * @param onMessage called with the message, or its first `keep` bytes, and its length; the
 *   bytes are the caller's only until it returns
 * @returns once the server has agreed: `send`, `close`, `bytes` received
 */
export function openSocket(
  url,
  { onMessage, keep = Infinity, onClose, localAddress, protocol } = {},
) {
  const { hostname, port, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    const reader = frames(onMessage ?? (() => undefined), keep, (payload) =>
      socket.write(frame(0x8a, payload)),
    );
    let isOpen = false;
    const read = (length) => {
      if (isOpen) {
        reader.take(SHARED.subarray(0, length));
        return true;
      }
      const text = SHARED.latin1Slice(0, length);
      const end = text.indexOf('\r\n\r\n');
      if (!text.startsWith('HTTP/1.1 101') || end < 0) {
        socket.destroy();
        reject(new Error(`refused: ${text.slice(0, 100)}`));
        return false;
      }
      isOpen = true;
      resolve({
        send: (payload) => socket.write(frame(0x82, payload)),
        close: () => socket.destroy(),
        pause: () => socket.pause(),
        bytes: () => socket.bytesRead,
        isAlive: () => !socket.destroyed && !reader.isClosed(),
      });
      if (length > end + 4) reader.take(SHARED.subarray(end + 4, length));
      return true;
    };
    const socket = connect({
      host: hostname,
      port: Number(port),
      localAddress,
      noDelay: true,
      onread: { buffer: SHARED, callback: read },
    });
    socket.on('error', reject);
    socket.once('close', () => {
      reject(new Error('closed'));
      onClose?.();
    });
    socket.write(
      `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\n` +
        'Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n' +
        `Sec-WebSocket-Version: 13\r\n${protocol ? `Sec-WebSocket-Protocol: ${protocol}\r\n` : ''}\r\n`,
    );
  });
}

/** One masked frame in one piece. */
function frame(head, payload) {
  const { length } = payload;
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const bytes = Buffer.allocUnsafe(6 + extra + length);
  bytes[0] = head;
  if (extra === 0) bytes[1] = 0x80 | length;
  else if (extra === 2) {
    bytes[1] = 0x80 | 126;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = 0x80 | 127;
    bytes.writeBigUInt64BE(BigInt(length), 2);
  }
  const from = 6 + extra;
  for (let i = 0; i < 4; i++) bytes[from - 4 + i] = MASK[i];
  for (let i = 0; i < length; i++) bytes[from + i] = payload[i] ^ MASK[i & 3];
  return bytes;
}

/** Puts frames and fragments together, however the bytes were cut. */
function frames(onMessage, keep, answer) {
  let rest = Buffer.alloc(0);
  /** Bytes to come of the frame that is being read. */
  let left = 0;
  let isLast = true;
  let parts = [];
  let kept = 0;
  let length = 0;
  let closed = false;

  const hold = (part) => {
    length += part.length;
    if (kept >= keep) return;
    // The buffer is read into again before the message is whole.
    const piece = Buffer.from(part.subarray(0, keep - kept));
    parts.push(piece);
    kept += piece.length;
  };
  const end = () => {
    const whole = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    const size = length;
    parts = [];
    kept = 0;
    length = 0;
    onMessage(whole, size);
  };
  return {
    isClosed: () => closed,
    take(data) {
      const bytes = rest.length === 0 ? data : Buffer.concat([rest, data]);
      rest = Buffer.alloc(0);
      let at = 0;
      while (at < bytes.length) {
        if (left > 0) {
          const part = bytes.subarray(at, at + left);
          at += part.length;
          left -= part.length;
          hold(part);
          if (left === 0 && isLast) end();
          continue;
        }
        const head = headOf(bytes, at);
        if (head === undefined) break;
        const body = at + head.size;
        if (head.opcode >= CLOSE) {
          if (bytes.length < body + head.payload) break;
          if (head.opcode === PING) answer(bytes.subarray(body, body + head.payload));
          if (head.opcode === CLOSE) closed = true;
          at = body + head.payload;
          continue;
        }
        at = body;
        isLast = head.isLast;
        if (isLast && length === 0 && bytes.length >= body + head.payload) {
          at += head.payload;
          onMessage(bytes.subarray(body, at), head.payload);
          continue;
        }
        left = head.payload;
        if (left === 0 && isLast) end();
      }
      if (at < bytes.length) rest = Buffer.from(bytes.subarray(at));
    },
  };
}

/** @returns undefined while it is not whole */
function headOf(bytes, at) {
  if (bytes.length - at < 2) return undefined;
  const short = bytes[at + 1] & 127;
  const size = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length - at < size) return undefined;
  const payload =
    short < 126
      ? short
      : short === 126
        ? bytes.readUInt16BE(at + 2)
        : Number(bytes.readBigUInt64BE(at + 2));
  return { opcode: bytes[at] & 15, isLast: (bytes[at] & 0x80) !== 0, size, payload };
}
