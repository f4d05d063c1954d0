/** What the server keeps and waits for, at most: every bound that can be set, with its default. */
import type { SessionRates } from './allowance.js';
import type { CrowdLimits } from './crowd.js';

/** Every value has a default. */
export interface Limits extends CrowdLimits, SessionRates {
  /** Bytes of one message from a client; beyond it the socket is closed with 1009. Default 32 MiB. */
  readonly maxMessageBytes: number;
  /** Bytes of one document, as it is stored; what would make it larger is rejected, except deletions. Default 64 MiB. */
  readonly maxDocumentBytes: number;
  /** Bytes that may wait for one socket before it is skipped until it has caught up. Default 256 KiB. */
  readonly highWaterBytes: number;
  /** Milliseconds that a socket may stay behind, beside what its backlog takes at 64 KB/s. Default 30 000. */
  readonly behindMs: number;
  /** Bytes of all rooms that may wait for a failing store. Default 64 MiB. */
  readonly maxUnsavedBytes: number;
  /** Bytes of snapshots kept in memory for those who join. Default 128 MiB. */
  readonly snapshotCacheBytes: number;
  /** Bytes of one awareness state. Default 64 KiB. */
  readonly maxAwarenessBytes: number;
  /** Levels to which one awareness state may be nested. Default 100. */
  readonly maxAwarenessDepth: number;
  /** Awareness client ids that one session may introduce. Default 64. */
  readonly maxAwarenessClients: number;
  /** Requests of the HTTP API that are answered at once. Default 32. */
  readonly maxApiRequests: number;
  /** Those who watch rooms by server-sent events. Default 100. */
  readonly maxWatchers: number;
  /** Milliseconds for a request to arrive, and for a decision about it. Default 10 000. */
  readonly handshakeMs: number;
  /** Milliseconds for which a connection is kept for another request. Longer than proxies keep theirs. Default 75 000. */
  readonly keepAliveMs: number;
  /** Milliseconds; a peer of which not a byte arrives for two of these is cut off. Default 15 000. */
  readonly heartbeatMs: number;
  /** Milliseconds after which the people of an instance that died are gone. Default 15 000. */
  readonly presenceTtlMs: number;
  /** Milliseconds from one look at the store, for what the relay has lost, to the next. Default 3 000. */
  readonly headCheckMs: number;
  /** Milliseconds that an empty room stays in memory. Default 10 000. */
  readonly idleMs: number;
  /** Milliseconds that loading a room may take. Default 20 000. */
  readonly loadMs: number;
  /** Milliseconds that a job on a document may take in a worker, and 5 000 for each MB of it. Default 30 000. */
  readonly workerMs: number;
  /** MB of memory that workers may take together; undefined: four fifths of what this process may take beyond 256 MB, or half of what the machine has beyond it. */
  readonly workerMemoryMb: number | undefined;
  /** Milliseconds that closing may take before the sockets that remain are cut off. Default 10 000. */
  readonly closeMs: number;
  /** Milliseconds that a drain may take; 0: it is a close. Default 30 000. */
  readonly drainMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxMessageBytes: 32 * 1024 * 1024,
  maxDocumentBytes: 64 * 1024 * 1024,
  updatesPerSession: { perSecond: 500, burst: 2_000 },
  updateBytesPerSession: { perSecond: 512 * 1024, burst: 64 * 1024 * 1024 },
  awarenessPerSession: { perSecond: 500, burst: 2_000 },
  step1PerSession: { perSecond: 1, burst: 20 },
  highWaterBytes: 256 * 1024,
  behindMs: 30_000,
  maxUnsavedBytes: 64 * 1024 * 1024,
  snapshotCacheBytes: 128 * 1024 * 1024,
  maxAwarenessBytes: 64 * 1024,
  maxAwarenessDepth: 100,
  maxAwarenessClients: 64,
  maxConnections: 100_000,
  maxConnectionsPerAddress: 1_000,
  maxConnectionsPerUser: 200,
  maxRoomsPerUser: 100,
  maxSessionsPerRoom: 5_000,
  attemptsPerAddress: { perSecond: 20, burst: 500 },
  maxApiRequests: 32,
  maxWatchers: 100,
  handshakeMs: 10_000,
  keepAliveMs: 75_000,
  heartbeatMs: 15_000,
  presenceTtlMs: 15_000,
  headCheckMs: 3_000,
  idleMs: 10_000,
  loadMs: 20_000,
  workerMs: 30_000,
  workerMemoryMb: undefined,
  closeMs: 10_000,
  drainMs: 30_000,
};

/** Bounds that clients can reach, as the metric `cowrite_limits_reached_total` names them. */
export const LIMIT_NAMES = [
  'message-size',
  'document-size',
  'depth',
  'updates-per-session',
  'update-bytes-per-session',
  'awareness-per-session',
  'work-per-session',
  'step1-per-session',
  'awareness-size',
  'awareness-depth',
  'awareness-clients',
  'connections',
  'connections-per-address',
  'connections-per-user',
  'rooms-per-user',
  'sessions-per-room',
  'attempts-per-address',
  'api-requests',
  'watchers',
  'handshake',
] as const;
export type LimitName = (typeof LIMIT_NAMES)[number];
