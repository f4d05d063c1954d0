/**
 * A backup on its way into the browser: `GET /api/backup`, which `cowrite restore` reads. It is given
 * away only when all of it has arrived, which its last record says: what was cut off is no backup.
 */

export interface Backup {
  readonly file: Blob;
  readonly rooms: number;
  /** Rooms that the store could not give: they are not in it. */
  readonly unreadable: readonly string[];
  /** Updates that it could not give. */
  readonly lost: number;
}

/** It is not all there, or too much. The message is for people. */
export class NoBackup extends Error {}

/** What the last record begins with: storage/backup-file.ts. Nothing stands behind its text. */
const END = '{"version":1,"part":"end"';
/** Bytes in which the last record is looked for: it names each room that cannot be read. */
const TAIL = 4 * 1024 * 1024;

/**
 * @param most bytes that a browser is to hold
 * @throws {NoBackup}
 */
export async function receive(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  most: number,
  onBytes: (received: number) => void,
): Promise<Backup> {
  let received = 0;
  const counted = body.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(part, controller) {
        received += part.length;
        if (received > most) {
          throw new NoBackup(
            'it is larger than a browser should hold: use cowrite backup with --server',
          );
        }
        onBytes(received);
        controller.enqueue(part);
      },
    }),
  );
  // The browser keeps a large one on its disk.
  const file = await new Response(counted).blob();
  const end = endOf(await file.slice(-TAIL).text());
  if (end === undefined) throw new NoBackup('it was cut off: the server’s log may say why');
  return { file, ...end };
}

function endOf(tail: string): Omit<Backup, 'file'> | undefined {
  const at = tail.lastIndexOf(END);
  if (at < 0) return undefined;
  try {
    const { rooms, unreadable, lost } = JSON.parse(tail.slice(at));
    return { rooms, unreadable, lost };
  } catch {
    return undefined;
  }
}
