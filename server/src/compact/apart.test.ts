import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { gc, type Item, item, text, uint, update } from '../../test/crafted.js';
import { typedByTurns } from '../../test/large.js';
import { OutOfMemory, runApart } from './apart.js';
import { EndedEarly, readFrame, writeFrame } from './frames.js';
import { OverBudget } from './over-budget.js';
import { pack } from './packed.js';
import { mostHeapFor } from './weight.js';
import { Workers } from './workers.js';

const MB = 1024 * 1024;
const hasProc = existsSync('/proc/self/stat');
const NO_PROC = 'processes are found in /proc, which is not here';
const ENDLESS = { patience: 600_000, signal: new AbortController().signal };
/** More inserts at one position, each by somebody else, than there is time for: the square of them is compared. */
const MANY = 100_000;
const expensive = () =>
  Array.from({ length: MANY }, (_, i) => {
    const structs = [item({ parent: '', kind: 4, content: text('a') })];
    return update([{ client: 1_000_000 + i, clock: 0, structs }]);
  });

const compactionOf = (...updates: Uint8Array[]) => ({
  kind: 'compact' as const,
  snapshot: undefined,
  updates: pack(updates),
  heap: Number.MAX_SAFE_INTEGER,
});

type Content = Pick<Item, 'kind' | 'content'>;

/** In one type, each behind the one before. */
function chain(count: number, contentOf: (i: number) => Content) {
  const structs = Array.from({ length: count }, (_, i) =>
    item({ ...(i === 0 ? { parent: '' } : { origin: [1, i - 1] }), ...contentOf(i) }),
  );
  return update([{ client: 1, clock: 0, structs }]);
}

const written = (...bytes: number[]): Item['content'] => {
  return (encoder) => {
    for (const byte of bytes) uint(byte)(encoder);
  };
};
const letter: Content = { kind: 4, content: text('a') };
const deleted: Content = { kind: 1, content: written(1) };
const list: Content = { kind: 7, content: written(0) };
/** Without a name, and without options. */
const subdocument: Content = { kind: 9, content: written(0, 118, 0) };
const lists: Content = {
  kind: 8,
  content: written(50_000, ...Array.from({ length: 50_000 }, () => [117, 0]).flat()),
};
const mark = (name: string): Content => ({
  kind: 6,
  content: (encoder) => {
    text(name)(encoder);
    text('true')(encoder);
  },
});

/** What takes the most memory for its bytes, of each kind. */
const WORST: Readonly<Record<string, () => Uint8Array[]>> = {
  'single characters': () => [typedByTurns({ items: 5_000 })],
  'deleted characters': () => [chain(10_000, () => deleted)],
  'shared types': () => [chain(10_000, () => list)],
  'names of documents': () => [chain(10_000, () => subdocument)],
  'garbage of many clients': () => [
    update(Array.from({ length: 10_000 }, (_, i) => ({ client: i, clock: 0, structs: [gc(1)] }))),
  ],
  'deletions that take a text apart': () => [
    update([
      {
        client: 1,
        clock: 0,
        structs: [item({ parent: '', kind: 4, content: text('ab'.repeat(8_000)) })],
      },
    ]),
    update(
      [],
      Array.from({ length: 8_000 }, (_, i) => [1, 2 * i, 1] as const),
    ),
  ],
  'lists in lists': () => [chain(1, () => lists)],
};

/** State, parent and seconds of CPU, as /proc has them; undefined for one that is gone. */
function statOf(
  pid: number | string,
): { state: string; parent: number; seconds: number } | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return { state: fields[0]!, parent: Number(fields[1]), seconds: Number(fields[11]) / 100 };
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

function isRunning(pid: number | string): boolean {
  return !['Z', 'X', undefined].includes(statOf(pid)?.state);
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && statOf(name)?.parent === pid && isRunning(name))
    .map(Number);
}

const sizeOf = (updates: readonly Uint8Array[]) =>
  updates.reduce((sum, { length }) => sum + length, 0);

// Processes are polite, and on a machine with other work that takes its time.
describe('[CMP] jobs in processes', { timeout: 600_000 }, () => {
  for (const [kind, make] of Object.entries(WORST)) {
    it(`[CMP-26] what a thread is given fits into its heap, whatever is in it: ${kind}`, async () => {
      const updates = make();
      const heap = mostHeapFor(sizeOf(updates), 'made');
      await expect(runApart(compactionOf(...updates), { heap, ...ENDLESS })).resolves.toMatchObject(
        { isFaithful: true },
      );
    });
  }

  it('[CMP-26] so does what is read without a document, and what is shown of one', async () => {
    const [many] = WORST['garbage of many clients']!();
    const heap = mostHeapFor(many!.length, 'read');
    const stateVector = Uint8Array.of(0);
    const diff = { kind: 'diff' as const, snapshot: many!, stateVector, inPieces: false };
    await expect(runApart(diff, { heap, ...ENDLESS })).resolves.toHaveLength(many!.length);
    const cut = { kind: 'cut' as const, update: many!, isWhole: true };
    await expect(runApart(cut, { heap, ...ENDLESS })).resolves.toHaveProperty('pieces');
    const compare = { kind: 'compare' as const, update: many!, stored: [many!] };
    await expect(runApart(compare, { heap: 2 * heap, ...ENDLESS })).resolves.toBeUndefined();
    // Each run has all the marks before it.
    const marks = chain(2_000, (i) => (i % 2 === 0 ? mark(`${i}`) : letter));
    const shown = {
      ...{ kind: 'view' as const, snapshot: undefined, updates: pack([marks]) },
      ...{ form: 'json' as const, type: '', as: 'delta' as const, heap: Number.MAX_SAFE_INTEGER },
    };
    const most = mostHeapFor(marks.length, 'shown');
    const delta = await runApart<Uint8Array>(shown, { heap: most, ...ENDLESS });
    expect(delta.length).toBeGreaterThan(100 * marks.length);
  });

  it('[CMP-25] a job that runs out of its heap ends its process alone, and says so', async () => {
    const options = { ...ENDLESS, heap: 20 * MB };
    const job = runApart(compactionOf(...WORST['names of documents']!()), options);
    await expect(job).rejects.toThrow(OutOfMemory);
  });

  it('[CMP-25] a thread is given what certainly fits, and a process what may not', async () => {
    const workers = new Workers({ threads: 1, budget: 600_000, memory: 200 });
    onTestFinished(() => workers.close());
    let started = 0;
    const count = () => started++;
    subscribe('child_process', count);
    onTestFinished(() => void unsubscribe('child_process', count));
    for (const [items, processes] of [
      [1_000, 0],
      [40_000, 1],
    ] as const) {
      started = 0;
      const updates = [typedByTurns({ items })];
      const made = await workers.compact(async () => ({ snapshot: undefined, updates }));
      expect([made.isFaithful, started]).toEqual([true, processes]);
    }
  });

  it('[CMP-25] what a job throws is thrown here', async () => {
    const damaged = { ...compactionOf(), snapshot: Uint8Array.of(1, 2, 3) };
    await expect(runApart(damaged, { ...ENDLESS, heap: 100 * MB })).rejects.toThrow(
      /Unexpected end|out of range|invalid/i,
    );
  });

  it('[CMP-27] a job over its time ends with its process, and so do those that run when the workers end', async ({
    skip,
  }) => {
    skip(!hasProc, NO_PROC);
    const before = childrenOf(process.pid);
    const read = async () => ({ snapshot: undefined, updates: expensive() });
    const hasty = new Workers({ threads: 1, budget: 1, memory: 400 });
    hasty.patience = () => 1_000;
    onTestFinished(() => hasty.close());
    await expect(hasty.compact(read)).rejects.toThrow(OverBudget);
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
    const patient = new Workers({ threads: 1, budget: 600_000, memory: 400 });
    const job = patient.compact(read);
    const ended = expect(job).rejects.toThrow('closed');
    await vi.waitFor(() => {
      expect(childrenOf(process.pid).some((pid) => !before.includes(pid))).toBe(true);
    });
    await patient.close();
    await ended;
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
  });

  it('[CMP-27] a process outlives one that is killed by no more than its job may take, and has none of its secrets', async ({
    skip,
  }) => {
    skip(!hasProc, NO_PROC);
    const folder = mkdtempSync(join(tmpdir(), 'cowrite-apart-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'update');
    writeFileSync(file, pack(expensive()).bytes);
    const apart = new URL('../../dist/compact/apart.js', import.meta.url).href;
    const program = `
      import { readFileSync } from 'node:fs';
      import { runApart } from ${JSON.stringify(apart)};
      const bytes = new Uint8Array(readFileSync(process.argv[1]));
      const size = bytes.length / ${MANY};
      const ends = Uint32Array.from({ length: ${MANY} }, (_, i) => size * (i + 1));
      const updates = { bytes, ends };
      const task = { kind: 'compact', snapshot: undefined, updates, heap: 1e12 };
      const { signal } = new AbortController();
      await runApart(task, { heap: 5e8, patience: 1, signal });`;
    const server = spawn(process.execPath, ['--input-type=module', '-e', program, file], {
      env: { ...process.env, AUTH_SECRET: 'nobody else knows' },
      stdio: 'inherit',
    });
    const ended = once(server, 'exit');
    const [child] = await vi.waitFor(() => {
      const children = childrenOf(server.pid!);
      expect(children).toHaveLength(1);
      return children;
    });
    // Until it has begun its own program, it is a copy of the one that starts it.
    await vi.waitFor(() => {
      expect(readFileSync(`/proc/${child}/cmdline`, 'utf8')).toContain('apart-entry');
    });
    expect(readFileSync(`/proc/${child}/environ`, 'utf8')).not.toContain('AUTH_SECRET');
    // More than it takes to begin.
    await vi.waitFor(() => {
      expect(!isRunning(child!) || statOf(child!)!.seconds > 0.6).toBe(true);
    });
    server.kill('SIGKILL');
    await ended;
    await vi.waitFor(() => expect(isRunning(child!)).toBe(false));
  });
});

async function frameOf(value: unknown): Promise<Buffer> {
  const stream = new PassThrough();
  await writeFrame(stream, value);
  stream.end();
  return Buffer.concat(await stream.toArray());
}

describe('[CMP] values between processes', () => {
  const VALUE = {
    kind: 'x',
    none: null,
    empty: new Uint8Array(0),
    nested: [{ bytes: 1, fields: { words: 2 } }, 'text', true, 1.5],
    bytes: Uint8Array.from({ length: 300 }, (_, i) => i % 256),
    words: Uint32Array.of(1, 2 ** 32 - 1),
    last: new Uint8Array(0),
  };

  it('[CMP-28] arrive as they left, however the pipe cuts them', async () => {
    const bytes = await frameOf(VALUE);
    for (const size of [1, 7, bytes.length]) {
      const cut = new PassThrough();
      const value = readFrame(cut);
      for (let i = 0; i < bytes.length; i += size) cut.write(bytes.subarray(i, i + size));
      expect(await value).toEqual(VALUE);
    }
  });

  it('[CMP-28] one that does not arrive whole is none', async () => {
    const bytes = await frameOf(VALUE);
    for (const length of [0, 3, 20, bytes.length - 1]) {
      const cut = new PassThrough();
      cut.end(bytes.subarray(0, length));
      await expect(readFrame(cut)).rejects.toThrow(EndedEarly);
    }
  });
});
