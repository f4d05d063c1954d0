/** `cowrite backup`: all of a store in one file, also while servers write to it. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Config } from '../config.js';
import { inJson } from '../shown.js';
import {
  type BackupEnd,
  readBackup,
  UnreadableBackup,
  writeBackup,
} from '../storage/backup-file.js';
import { everyRoom } from '../storage/copy.js';
import { StorageInUse } from '../storage/lock.js';
import { command, EXIT, Failure } from '../terminal/command.js';
import { canBeReadAgain, explained, readFrom, refuseExisting, writeTo } from '../terminal/files.js';
import { complain } from '../terminal/output.js';
import { counted, countRooms, progress } from '../terminal/progress.js';
import { fromServer, SERVER_OPTION } from '../terminal/server.js';
import { STORAGE_OPTION, storageUrl, withExistingStore } from '../terminal/store.js';

export const backupCommand = command({
  name: 'backup',
  summary: 'Writes all of a store to a file, also while servers run',
  arguments: ['<file>'],
  options: {
    force: { type: 'boolean', help: 'a file of that name is replaced' },
    ...STORAGE_OPTION,
    ...SERVER_OPTION,
  },
  details: `
Every room is in it as it was at one moment: all that was reported saved before the backup
began is there. The file is of no particular store: cowrite restore writes it to any. It is
there once it is whole and on disk; it is read again and checked before the command ends. -
is stdout; what goes there is checked on its way. A file that is there already is left as it
is, unless --force is given; it is replaced once the new one is whole.

A Postgres or Redis is read beside the servers that use it. An lmdb store can be open in one
process only: while its server runs, ask that for the backup, with its ADMIN_TOKEN in the
environment.

  cowrite backup monday.cowrite
  ADMIN_TOKEN=… cowrite backup monday.cowrite --server http://127.0.0.1:8080

It ends with 3 when something could not be read, and is not in it: cowrite check says what.`,
  async run({ values, operands: [file], config }) {
    const isReadAgain = await canBeReadAgain(file!);
    const isReplaced = values.force === true;
    // Before a store is read for hours.
    if (!isReplaced) await explained(file!, () => refuseExisting(file!));
    let code: number = EXIT.ok;
    const write = (bytes: AsyncIterable<Uint8Array>) => {
      const written = isReadAgain
        ? bytes
        : readAlong(bytes, async (copy) => {
            code = await verify(copy, 'stdout', process.stderr);
          });
      return explained(file!, () => writeTo(file!, written, { isReplaced }));
    };
    if (values.server === undefined) await fromStore(values.storage, config, write);
    else await write(watched(await fromServer(values.server, '/api/backup', config)));
    if (!isReadAgain) return code;
    const again = await explained(file!, () => readFrom(file!));
    return await explained(file!, () => verify(again, file!, process.stdout));
  },
});

const MEGABYTE = 1_000_000;

type Write = (bytes: AsyncIterable<Uint8Array>) => Promise<void>;

async function fromStore(storage: string | undefined, config: Config, write: Write): Promise<void> {
  try {
    await withExistingStore(storageUrl(storage, config), config, async (store) => {
      const bar = await progress('rooms', () => countRooms(store));
      const names = (async function* () {
        for await (const room of everyRoom(store)) {
          yield room;
          bar.step();
        }
      })();
      await write(writeBackup(store, names, new Date()));
      bar.end();
    });
  } catch (error) {
    if (!(error instanceof StorageInUse)) throw error;
    throw new Failure(`${error.message}, or ask it for the backup, with --server <url>`);
  }
}

/** How much there will be, the server does not know either. */
async function* watched(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const bar = await progress('MB');
  let received = 0;
  try {
    for await (const chunk of bytes) {
      yield chunk;
      const before = Math.floor(received / MEGABYTE);
      received += chunk.length;
      bar.step(Math.floor(received / MEGABYTE) - before);
    }
  } finally {
    bar.end();
  }
}

function notWhole(error: unknown): never {
  if (!(error instanceof UnreadableBackup)) throw error;
  throw new Failure(`what was written does not read as a backup: ${error.message}`);
}

/** Bytes on their way, read by somebody else as well: what that throws stops them. */
async function* readAlong(
  bytes: AsyncIterable<Uint8Array>,
  read: (copy: AsyncIterable<Uint8Array>) => Promise<void>,
): AsyncIterable<Uint8Array> {
  const copy = new PassThrough();
  const reading = read(copy);
  // It is awaited below, but for what is thrown because nobody wants the bytes any more.
  reading.catch(() => undefined);
  try {
    for await (const chunk of bytes) {
      yield chunk;
      if (!copy.write(chunk)) await Promise.race([once(copy, 'drain'), reading]);
    }
    copy.end();
    await reading;
  } finally {
    copy.destroy();
  }
}

/** @param told what is in it is said there */
async function verify(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
  told: NodeJS.WritableStream,
): Promise<number> {
  let lost = 0;
  let documents = 0;
  const reading = readBackup(bytes);
  let end: BackupEnd;
  for (;;) {
    const next = await reading.next().catch(notWhole);
    if (next.done === true) {
      end = next.value;
      break;
    }
    if (!next.value.isDeleted) documents++;
    lost += next.value.lost;
  }
  told.write(`${file}: ${counted(documents, 'room')}, ${end.rooms - documents} deleted\n`);
  for (const name of end.unreadable) {
    complain(`room ${inJson(name)} cannot be read: not in it`);
  }
  if (lost > 0) complain(`${counted(lost, 'update')} cannot be read: not in it`);
  return lost > 0 || end.unreadable.length > 0 ? EXIT.damage : EXIT.ok;
}
