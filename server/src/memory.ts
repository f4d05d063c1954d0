/**
 * How much memory this process may take, and how much of that its workers may.
 *
 * A container's limit counts, and that of every group around it: the kernel ends a process that
 * passes the smallest, without a word to it. Control groups of both versions are read.
 */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { posix } from 'node:path';

export interface MemoryLimit {
  readonly bytes: number;
  /** Whether it is a limit of this process, and not merely all that the machine has. */
  readonly isOwn: boolean;
}

/** Where it is read from; tests bring files of their own. */
export interface MemorySources {
  /** @returns undefined for a file that is not there */
  readonly read: (path: string) => string | undefined;
  /** Bytes of the machine. */
  readonly total: number;
  /** What Node says of a limit; 0 or more than the machine has for none. */
  readonly constrained: number;
}

const MB = 1024 * 1024;
/** For the rest of the process: code, connections, cached snapshots, logs of open rooms. */
const RESERVED = 256 * MB;
/** Less is no use: a worker's code alone takes a third of it. */
const LEAST = 96 * MB;
/** What no document within the default limits needs. */
const MOST = 4096 * MB;
/** What is measured is only what can be counted: the rest is for what cannot. */
const OWN_PART = 4 / 5;
/** Others run on the machine as well. */
const SHARED_PART = 1 / 2;

export function memoryLimit(sources: MemorySources = system()): MemoryLimit {
  const { total, constrained } = sources;
  const limits = [...groupLimits(sources.read), constrained].filter((n) => n > 0 && n < total);
  return { bytes: Math.min(total, ...limits), isOwn: limits.length > 0 };
}

/** Bytes that jobs on documents may take together, in a process with this limit. */
export function workerMemory({ bytes, isOwn }: MemoryLimit): number {
  const part = (bytes - RESERVED) * (isOwn ? OWN_PART : SHARED_PART);
  return Math.floor(Math.min(MOST, Math.max(LEAST, part)));
}

/** The least limit of a process whose workers need so many bytes. */
export function limitForWorkers(bytes: number): number {
  return Math.ceil(bytes / OWN_PART) + RESERVED;
}

function system(): MemorySources {
  return { read: readIfThere, total: totalmem(), constrained: process.constrainedMemory() };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // No such group, another system, or a sandbox without /proc: then nothing is said.
    return undefined;
  }
}

interface Hierarchy {
  /** Where it is mounted. */
  readonly mount: string;
  /** The group that is seen at the mount. */
  readonly root: string;
  readonly files: readonly string[];
}

const V2_FILES = ['memory.max', 'memory.high'];
const V1_FILES = ['memory.limit_in_bytes'];

function* groupLimits(read: MemorySources['read']): Generator<number> {
  const mounts = hierarchies(read('/proc/self/mountinfo') ?? '');
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, group] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || group === undefined) continue;
    if (controllers !== '' && !controllers.split(',').includes('memory')) continue;
    const hierarchy = mounts[controllers === '' ? 'v2' : 'v1'];
    if (hierarchy !== undefined) yield* limitsAlong(hierarchy, group, read);
  }
}

function hierarchies(mountinfo: string): { v1?: Hierarchy; v2?: Hierarchy } {
  const found: { v1?: Hierarchy; v2?: Hierarchy } = {};
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const [root, mount] = before!.split(' ').slice(3, 5);
    const [kind, , options = ''] = (after ?? '').split(' ');
    if (root === undefined || mount === undefined) continue;
    if (kind === 'cgroup2') found.v2 ??= { mount, root, files: V2_FILES };
    else if (kind === 'cgroup' && options.split(',').includes('memory')) {
      found.v1 ??= { mount, root, files: V1_FILES };
    }
  }
  return found;
}

/** Of the group and of all around it, as far as they can be seen from here. */
function* limitsAlong(
  { mount, root, files }: Hierarchy,
  group: string,
  read: MemorySources['read'],
): Generator<number> {
  // In a container the group may be named as the host sees it, or by steps out of what is mounted.
  const below = posix.relative(root, group);
  const isSeen = below !== '..' && !below.startsWith('../');
  let folder = isSeen ? posix.join(mount, below) : mount;
  for (;;) {
    for (const file of files) {
      const bytes = Number(read(posix.join(folder, file)) ?? Number.NaN);
      if (Number.isFinite(bytes)) yield bytes;
    }
    if (folder === mount || folder === '/') return;
    folder = posix.dirname(folder);
  }
}
