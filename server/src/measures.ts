/**
 * What the parts of the server count while they work: whole numbers and fixed buckets, nothing
 * else. Reading them is `metrics.ts`'s affair, when somebody asks: a hash of labels for each
 * keystroke would cost more than the keystroke.
 *
 * Invariant: nothing here grows with users, rooms or what clients send.
 */
import { CLOSE, type Message } from '@cowrite/client/protocol';
import { LIMIT_NAMES } from './limits.js';

/** How often each of a few things happened, all of which are known from the beginning. */
export class Tally<K extends string | number> {
  readonly counts: Record<K, number>;

  constructor(keys: readonly K[]) {
    this.counts = Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
  }

  add(key: K, times = 1): void {
    this.counts[key] += times;
  }
}

/** How values are spread over fixed buckets. */
export class Distribution {
  /** The largest value of each bucket, ascending; one more bucket is for what is beyond the last. */
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  add(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    counts[bucket]!++;
    this.sum += value;
  }
}

const SHORT_MS = [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
const LONG_MS = [10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];
const SIZES = [32, 128, 512, 2_048, 8_192, 32_768, 131_072, 524_288, 2_097_152, 8_388_608];
const MINUTE_MS = 60_000;
const VISITS_MS = [1 / 60, 1 / 6, 1, 5, 15, 60, 240, 480, 1_440].map((m) => m * MINUTE_MS);
const BATCHES = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500];

type Kind = Message['type'];
const KINDS = Object.keys({
  step1: true,
  step2: true,
  update: true,
  awareness: true,
  auth: true,
  queryAwareness: true,
  saved: true,
  rejected: true,
  drain: true,
  token: true,
  access: true,
  generation: true,
  probe: true,
} satisfies Record<Kind, true>) as Kind[];

/** Why an upgrade is not carried out. */
export const REFUSALS = [
  'closing',
  'room-name',
  'store-full',
  'cooldown',
  'attempts-per-address',
  'origin',
  'host',
  'unauthenticated',
  'forbidden',
  'unavailable',
  'connections',
  'connections-per-address',
  'connections-per-user',
  'rooms-per-user',
  'sessions-per-room',
  'internal',
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** A close code of RFC 6455 or of the server's own; clients may invent others. */
const CODES = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1010, ...Object.values(CLOSE)];
const OTHER = 'other';

/** Messages in one direction. One look for the kind, because this is done for each delivery. */
class Traffic {
  readonly kinds = new Map(KINDS.map((kind) => [kind, { messages: 0, bytes: 0 }]));

  add(kind: Kind, bytes: number): void {
    const traffic = this.kinds.get(kind)!;
    traffic.messages++;
    traffic.bytes += bytes;
  }
}

/** For the transport and the sessions. */
export class SocketMeasures {
  /** Requests to become a WebSocket. */
  attempts = 0;
  readonly refusals = new Tally(REFUSALS);
  /** Clients that had a document when they first asked for it. */
  reconnects = 0;
  readonly received = new Traffic();
  readonly sent = new Traffic();
  readonly receivedSizes = new Distribution(SIZES);
  readonly visits = new Distribution(VISITS_MS);
  readonly closes = new Tally<string>([...new Set(CODES.map(String)), OTHER]);

  closed(code: number, ms: number): void {
    this.closes.add(String(code) in this.closes.counts ? String(code) : OTHER);
    this.visits.add(ms);
  }
}

/** For fan-out. */
export class FanoutMeasures {
  /** Updates that left in one frame. */
  readonly batches = new Distribution(BATCHES);
  /** From an update's arrival to its last receiver's socket. */
  readonly lag = new Distribution(SHORT_MS);
  /** Receivers that are behind now. */
  behind = 0;
  /** Flushes that a receiver was left out of. */
  skipped = 0;
  /** Receivers that were closed for staying behind. */
  evicted = 0;
}

/** For the log. */
export class LogMeasures {
  /** From the admission of the oldest update that a commit has of a room to its being on disk. */
  readonly appends = new Distribution(SHORT_MS);
  /** What the store took for a commit. */
  readonly commits = new Distribution(SHORT_MS);
  failures = 0;
}

export class CompactionMeasures {
  readonly times = new Distribution(LONG_MS);
  /** Of the snapshots that were written. */
  bytes = 0;
  failures = 0;
  /** Those that were not carried out because the document is too large. */
  tooLarge = 0;
  /** Those whose work was in vain, because another instance was first. */
  outrun = 0;
  /** Entries that were found unusable. */
  quarantined = 0;
}

/** For the way between instances. */
export class RelayMeasures {
  /** From another instance's sending to the arrival here, by both clocks. */
  readonly lag = new Distribution(SHORT_MS);
  /** Times that entries stayed away for so long that the store had to be asked. */
  holes = 0;
  /** Questions to the store for what is missing. */
  repairs = 0;
  /** Times that the relay was away and is back. */
  gaps = 0;
}

export class Measures {
  readonly sockets = new SocketMeasures();
  readonly fanout = new FanoutMeasures();
  readonly log = new LogMeasures();
  readonly compaction = new CompactionMeasures();
  readonly relay = new RelayMeasures();
  readonly limits = new Tally(LIMIT_NAMES);
  /** How late the event loop was, four times a second. */
  readonly loop = new Distribution(SHORT_MS);
}
