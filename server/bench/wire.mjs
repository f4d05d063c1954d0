/**
 * The least of each wire protocol that a load generator needs: it writes updates
 * and states byte by byte and finds its own stamps in what comes back, so that one
 * core can drive a server. Formats: SPEC.md, "The wire"; Yjs V1 updates.
 */

/** A stamp is `@` and twelve digits: microseconds since the load began, and three for who wrote it. */
const AT = 0x40;
const DIGITS = 12;
const AUTHORS = 1_000;
const SAVED = 100;
export const STAMP_LENGTH = 1 + DIGITS;

/** @param author less than 1,000 */
export function stamp(microseconds, author) {
  const value = (Math.round(microseconds) * AUTHORS + author) % 10 ** DIGITS;
  return `@${String(value).padStart(DIGITS, '0')}`;
}

/** Calls with the time and the author of each stamp in these bytes. */
export function eachStamp(bytes, found) {
  for (let at = bytes.indexOf(AT); at >= 0; at = bytes.indexOf(AT, at + 1)) {
    let value = 0;
    let digits = 0;
    for (; digits < DIGITS; digits++) {
      const digit = bytes[at + 1 + digits] - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    if (digits === DIGITS) found(Math.floor(value / AUTHORS), value % AUTHORS);
  }
}

export function uint(value) {
  const bytes = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}

/** @returns how many document messages are on disk, where this says so (Cowrite's own dialect) */
export function savedCount(bytes) {
  return bytes[0] === SAVED ? readUint(bytes, 1) : undefined;
}

function readUint(bytes, from) {
  let value = 0;
  for (let at = from, factor = 1; ; at++, factor *= 0x80) {
    value += (bytes[at] & 0x7f) * factor;
    if (bytes[at] < 0x80) return value;
  }
}

/** Text as an item of type `t`, behind the client's last one. @param clock units that the client has written before */
export function typedUpdate(client, clock, text) {
  const place = clock === 0 ? [0x04, 1, 1, 0x74] : [0x84, ...uint(client), ...uint(clock - 1)];
  return Buffer.from([
    1,
    1,
    ...uint(client),
    ...uint(clock),
    ...place,
    ...uint(text.length),
    ...Buffer.from(text),
    0,
  ]);
}

export function state(client, clock, text) {
  const json = Buffer.from(
    JSON.stringify({ user: { name: `Person ${client}`, color: '#7c4dcf' }, cursor: text }),
  );
  return Buffer.from([1, ...uint(client), ...uint(clock), ...uint(json.length), ...json]);
}

const message = (head, bytes) =>
  Buffer.concat([Buffer.from([...head, ...uint(bytes.length)]), bytes]);

export const EMPTY_VECTOR = Buffer.from([0]);
const EMPTY_UPDATE = Buffer.from([0, 0]);

/** @param name of the server; `cowrite` is spoken to as y-websocket clients do, unless `saved` is wanted */
export function dialectOf(name, room) {
  const address = Buffer.from(room);
  const prefix =
    name === 'hocuspocus' ? Buffer.from([...uint(address.length), ...address]) : Buffer.alloc(0);
  const framed = (bytes) => (prefix.length === 0 ? bytes : Buffer.concat([prefix, bytes]));
  const hello = [];
  if (name === 'hocuspocus') {
    const [token, version] = ['', '4.8.0'].map((text) =>
      Buffer.from([text.length, ...Buffer.from(text)]),
    );
    hello.push(framed(Buffer.concat([Buffer.from([2, 0]), token, version])));
  }
  return {
    /** What a client sends first; its step 1 with this state vector comes last. */
    hello: (vector = EMPTY_VECTOR) => [...hello, framed(message([0, 0], vector))],
    /** The answer to the server's step 1 of a client that has nothing of its own. */
    nothing: framed(message([0, 1], EMPTY_UPDATE)),
    update: (update) => framed(message([0, 2], update)),
    awareness: (update) => framed(message([1], update)),
    /** @returns `step1`, `step2`, `update`, `awareness` or undefined for anything else */
    kind(bytes) {
      const at = prefix.length;
      if (bytes[at] === 1) return 'awareness';
      return bytes[at] === 0 ? ['step1', 'step2', 'update'][bytes[at + 1]] : undefined;
    },
    answersJoins: name !== 'ws',
  };
}
