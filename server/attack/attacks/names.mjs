/** Names of rooms that are paths, patterns, properties, or too much. */
import * as Y from 'yjs';

const LANES = 8;
/** Each is a room of its own. */
const APART = [
  '../attacked',
  '../../etc/passwd',
  '*tacked',
  'att*ked',
  '?',
  '__proto__',
  'constructor',
  'toString',
  'a/b',
  'a\\b',
  '%2e%2e%2f',
  "'; DROP TABLE rooms; --",
  'é',
  'е',
  'e',
  '‮dekcatta',
  '$HOME',
  'attacked ',
];
const SAME = ['caf\u00e9', 'cafe\u0301'];
const ANSWERS = {
  '/nul%00': 400,
  '/a%0d%0ab': 400,
  '/%ff%fe': 400,
  '/%': 400,
  '/': 400,
  [`/${'a'.repeat(257)}`]: 400,
  [`/${'%e2%82%ac'.repeat(86)}`]: 400,
  [`/${'a'.repeat(1_000_000)}`]: 431,
  '/..': 400,
  '/.': 400,
  // A room: the name is what follows, and not a path that somebody would resolve.
  '/../attacked': 101,
};

function textOf(text) {
  const doc = new Y.Doc();
  doc.getText('t').insert(0, text);
  return Y.encodeStateAsUpdate(doc);
}

export const NAMES = [
  {
    id: 'names',
    title: 'names of rooms: ../, *, NUL, __proto__, 1 MB, two forms of Unicode',
    must: ['entered', 'refused 400'],
    expects: ['refused 431', 'refused 429', 'reset'],
    async prepare(attacker) {
      await attacker.plant('attacked');
      // With the number of the attempt a name would not be hostile any more.
      await Promise.all([...APART, SAME[0]].map((name) => attacker.plant(name, textOf(name))));
    },
    async attack(attacker) {
      const paths = Object.entries(ANSWERS);
      const names = [...APART, ...SAME];
      let next = 0;
      await attacker.lanes(LANES, async (lane) => {
        const n = next++;
        const [path, status] = paths[n % paths.length];
        const refusal = await attacker.knock(`/ws${path}`, { lane });
        // Node cuts off who sends more than it reads of a header.
        if (![status, 429].includes(refusal) && !(status === 431 && refusal === 0)) {
          attacker.problem(`${path.slice(0, 30)} was answered with ${refusal}`);
        }
        const peer = await attacker.connect(names[n % names.length], { lane });
        if (peer === undefined) return;
        attacker.count('entered');
        peer.cut();
      });
    },
    async after(attacker) {
      for (const name of APART) {
        const text = (await attacker.read(name)).getText('t').toString();
        if (!isRepeated(text, name)) attacker.problem(`the room ${name} holds ${text}`);
      }
      for (const name of SAME) {
        const text = (await attacker.read(name)).getText('t').toString();
        if (!isRepeated(text, SAME[0])) attacker.problem(`the room ${name} holds ${text}`);
      }
      await attacker.mustBeHonest('attacked');
    },
  },
];

/** Every try writes it once more. */
function isRepeated(text, name) {
  return text !== '' && text === name.repeat(text.length / name.length);
}
