// Appends, compacts and reads in a folder until it is killed, and says what is on disk:
// `node journal-writer.mjs <folder> <journalBytes> <seed>`, forked. What an entry holds follows from its place.
import { LmdbStorage } from '@cowrite/server';

const [folder, journalBytes, seed] = process.argv.slice(2);
const storage = await LmdbStorage.open(folder, { journalBytes: Number(journalBytes) });
let state = Number(seed);
const below = (limit) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};
const rooms = ['a', 'b', 'c', 'd'];
const lasts = {};
for (const room of rooms) lasts[room] = (await storage.load(room)).lastSeq;
process.send({ lasts });

for (let number = 1; ; number++) {
  const appends = rooms
    .filter(() => below(3) > 0)
    .map((room) => {
      const length = below(40) === 0 ? 3_000 : 10 + below(60);
      const count = 1 + below(3);
      const entries = Array.from({ length: count }, (_, n) => ({
        author: room,
        update: new Uint8Array(length).fill((lasts[room] + n + 1) % 251),
      }));
      return { room, entries };
    });
  if (appends.length === 0) continue;
  await storage.append({ number, appends });
  for (const { room, entries } of appends) lasts[room] += entries.length;
  process.send({ lasts });
  if (below(30) === 0) void compact(rooms[below(rooms.length)]);
}

async function compact(room) {
  const { snapshot, lastSeq } = await storage.load(room);
  const seq = lastSeq - below(5);
  if (seq <= (snapshot?.seq ?? 0)) return;
  const update = new Uint8Array(8).fill(seq % 251);
  await storage.compact(room, {
    base: snapshot?.seq ?? 0,
    snapshot: { seq, update, stateVector: Uint8Array.of(0), deletes: Uint8Array.of(0, 0) },
    quarantined: [],
  });
}
