/** `cowrite import`: one update into one room, by the same door that a client's goes through. */
import { systemClock } from '../clock.js';
import { DEFAULT_LIMITS } from '../limits.js';
import { loadRoom, RoomDeleted } from '../load.js';
import { inJson, shownName } from '../shown.js';
import type { Storage } from '../storage/storage.js';
import { command, EXIT, Failure } from '../terminal/command.js';
import { explained, readFrom } from '../terminal/files.js';
import { roomOf } from '../terminal/names.js';
import { say } from '../terminal/output.js';
import { STORAGE_OPTION, storageUrl, withStore } from '../terminal/store.js';
import { admit } from '../update/admit.js';
import { cutUpdate } from '../update/cut.js';
import { parseOutline, parseUpdate } from '../update/parse.js';
import { TooDeep, UpdateRefused, UpdateTooLarge } from '../update/refused.js';

const AUTHOR = 'cowrite import';

export const importCommand = command({
  name: 'import',
  summary: 'Adds an update to a room, which is made where there is none',
  arguments: ['<room>', '<file>'],
  options: STORAGE_OPTION,
  details: `
The file is one Yjs update (V1), as cowrite export and Y.encodeStateAsUpdate make it; -
is stdin. What the room has already is left out, so importing once more changes nothing.
What no honest client writes is refused, and so is what needs something that is not in
the room, and what would make the document larger than MAX_DOCUMENT_BYTES: set it as the
server has it.

  cowrite import minutes minutes.yjs

While servers run, use their HTTP API instead: they would not know of it.`,
  async run({ values, operands: [room, file], config }) {
    const name = roomOf(room!);
    const { maxDocumentBytes = DEFAULT_LIMITS.maxDocumentBytes } = config.limits;
    const update = await explained(file!, () => whole(file!));
    const said = await withStore(storageUrl(values.storage, config), config, (store) =>
      importInto(store, name, update, maxDocumentBytes),
    );
    say(`${said}\n`);
    return EXIT.ok;
  },
});

/** @returns what it did, in words */
async function importInto(
  store: Storage,
  room: string,
  bytes: Uint8Array,
  maxBytes: number,
): Promise<string> {
  try {
    const { frontier, tail, depth, snapshot } = await loadRoom(room, store, systemClock);
    const before = (snapshot?.size ?? 0) + tail.size;
    const updates: Uint8Array[] = [];
    let hasStructs = false;
    for (const piece of piecesOf(bytes)) {
      const parsed = depth.vet(parseUpdate(piece), tail, frontier);
      if (parsed === undefined) throw new TooDeep();
      const { change, missing } = admit(frontier, parsed, undefined, 'all or nothing');
      if (missing !== undefined) {
        throw new Failure(
          `it needs what client ${missing.client} wrote at ${missing.clock}, which is not in the room`,
        );
      }
      if (change === undefined) continue;
      updates.push(change.update);
      if (change.parts.length > 0) hasStructs = true;
      tail.append(tail.last + 1, change);
      depth.admitted(parsed);
    }
    if (updates.length === 0) return `${shownName(room)} has all of it already`;
    const added = updates.reduce((sum, { length }) => sum + length, 0);
    // As a room of a server counts them, which takes deletions always, too.
    const size = before + added;
    if (hasStructs && size > maxBytes) {
      throw new Failure(
        `room ${inJson(room)} would have ${size} bytes, and MAX_DOCUMENT_BYTES allows ${maxBytes}: ` +
          'set it higher, also for the servers',
      );
    }
    const entries = updates.map((update) => ({ update, author: AUTHOR }));
    const append = { room, life: snapshot?.life ?? 0, entries };
    const [seq] = await store.append({ number: 1, appends: [append] });
    if (seq === undefined || seq === 0) throw new RoomDeleted();
    const names =
      updates.length === 1 ? `update ${seq}` : `updates ${seq} to ${seq + updates.length - 1}`;
    return `${added} of ${bytes.length} bytes were new, and are ${names} of ${shownName(room)}`;
  } catch (error) {
    if (error instanceof UpdateRefused) throw new Failure(`it is refused: ${error.message}`);
    if (error instanceof RoomDeleted) throw new Failure(`room ${inJson(room)} was deleted`);
    throw error;
  }
}

/** What many people wrote may have more references than a server admits in one go when it loads the room. */
function piecesOf(bytes: Uint8Array): readonly Uint8Array[] {
  try {
    parseUpdate(bytes);
    return [bytes];
  } catch (error) {
    if (!(error instanceof UpdateTooLarge)) throw error;
    parseOutline(bytes);
    return cutUpdate(bytes);
  }
}

async function whole(file: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of await readFrom(file)) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}
