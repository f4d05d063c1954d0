/** Bytes of messages as attackers write them. */
import { uint } from '../bench/wire.mjs';

/** @param entries of an awareness update: client, clock, JSON */
export function states(entries) {
  const parts = [Buffer.from(uint(entries.length))];
  for (const [client, clock, text] of entries) {
    const json = Buffer.from(text);
    parts.push(Buffer.from([...uint(client), ...uint(clock), ...uint(json.length)]), json);
  }
  return Buffer.concat(parts);
}

/** @param entries client and clock */
export function vector(entries) {
  return Buffer.from([uint(entries.length), ...entries.flat().map(uint)].flat());
}

/** Numbers that look random, and are the same every time. @returns one from 0 to below `limit` */
export function seeded(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}
