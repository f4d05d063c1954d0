/**
 * What the server shows of itself, in the format of Prometheus: what its parts have counted
 * (measures.ts) and how they stand, read when it is asked. One registry a server, so that
 * several in one process are apart; what is the process's is the same in all of them.
 *
 * docs/operations/metrics.md explains each; a test compares the two.
 */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import type { Distribution, Measures, SocketMeasures, Tally } from './measures.js';

/** How the parts stand. Everything is asked for at each scrape. */
export interface Standings {
  connections(): number;
  rooms(): { readonly open: number; readonly loading: number };
  quarantinedRooms(): number;
  unsaved(): { readonly updates: number; readonly bytes: number; readonly oldestMs: number };
  isStoreFailing(): boolean;
  isStoreAway(): boolean;
  /** Rooms whose documents are too large to merge here. */
  tooLargeRooms(): number;
  workers(): { readonly running: number; readonly waiting: number; readonly memory: number };
  /** Undefined for a server that is alone. */
  relay(): RelayStandings | undefined;
  /** How far some of this may go. */
  readonly bounds: Bounds;
}

interface Bounds {
  readonly connections: number;
  readonly unsavedBytes: number;
  /** Bytes that this process may take: its own limit, or all that the machine has. */
  readonly memory: number;
}

interface RelayStandings {
  readonly isConnected: boolean;
  /** How many other instances are there. */
  readonly others: number;
  /** How many of those that are there cannot be heard. */
  readonly unheard: number;
  /** People that this instance keeps present. */
  readonly presenceKeys: number;
}

interface Value {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

const SECOND_MS = 1_000;
/** These go through every socket at each scrape. */
const DEAR = ['resources', 'handles', 'requests'].flatMap((what) => [
  `nodejs_active_${what}`,
  `nodejs_active_${what}_total`,
]);
/**
 * These wake the process a hundred times a second, which costs an idle one ten times what all else
 * does, and have those 10 ms in what they say. `cowrite_loop_delay_seconds` has not.
 */
const WRONG = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map(
  (of) => `nodejs_eventloop_lag_${of}_seconds`,
);
const NEVER = 2 ** 31 - 1;

/** Loop, heap, memory, garbage: of the process, and begun once, because it cannot be ended. */
let ofProcess: Registry | undefined;

function processRegistry(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess, eventLoopMonitoringPrecision: NEVER });
    for (const name of [...DEAR, ...WRONG]) ofProcess.removeSingleMetric(name);
  }
  return ofProcess;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #process = processRegistry();

  constructor(measures: Measures, standings: Standings) {
    this.#ofSockets(measures, standings);
    this.#ofRooms(measures, standings);
    this.#ofLog(measures, standings);
    this.#ofCompactions(measures, standings);
    this.#ofRelay(measures, standings);
    this.#ofBounds(standings);
    this.#seconds(
      'loop_delay_seconds',
      'How late the event loop was, four times a second.',
      measures.loop,
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All of them, as text. */
  async text(): Promise<string> {
    return await Registry.merge([this.#registry, this.#process]).metrics();
  }

  #ofSockets({ sockets, limits }: Measures, { connections }: Standings): void {
    this.#gauge('connections', 'Open WebSocket connections.', connections);
    this.#counter('upgrades_total', 'Requests to become a WebSocket.', () => sockets.attempts);
    this.#tally(
      'upgrades_refused_total',
      'Upgrades that were refused, by why.',
      'reason',
      sockets.refusals,
    );
    this.#counter(
      'reconnects_total',
      'Connections whose client had the document already.',
      () => sockets.reconnects,
    );
    this.#tally('closes_total', 'Connections that ended, by close code.', 'code', sockets.closes);
    this.#seconds('connection_seconds', 'How long connections lasted.', sockets.visits);
    this.#traffic('messages_total', 'Messages, by direction and kind.', sockets, 'messages');
    this.#traffic('message_bytes_total', 'Their bytes.', sockets, 'bytes');
    this.#histogram(
      'received_message_bytes',
      'Sizes of messages from clients.',
      1,
      sockets.receivedSizes,
    );
    this.#tally(
      'limits_reached_total',
      'How often a limit was reached, by the limit.',
      'limit',
      limits,
    );
  }

  #ofRooms({ fanout, compaction }: Measures, { rooms, quarantinedRooms }: Standings): void {
    this.#family('rooms', 'gauge', 'Rooms in memory, by state.', () =>
      Object.entries(rooms()).map(([state, value]) => ({ value, labels: { state } })),
    );
    this.#gauge(
      'quarantined_rooms',
      'Open rooms of which entries were set aside since they are open.',
      quarantinedRooms,
    );
    this.#counter(
      'quarantined_entries_total',
      'Entries that were found unusable.',
      () => compaction.quarantined,
    );
    this.#histogram('fanout_batch_updates', 'Updates that left in one frame.', 1, fanout.batches);
    this.#seconds(
      'delivery_lag_seconds',
      "From an update's arrival to the last write of it to a socket.",
      fanout.lag,
    );
    this.#gauge('slow_readers', 'Sockets that are behind now.', () => fanout.behind);
    this.#counter(
      'skipped_frames_total',
      'Flushes that a socket that was behind was left out of.',
      () => fanout.skipped,
    );
    this.#counter(
      'evictions_total',
      'Sockets closed because they stayed behind.',
      () => fanout.evicted,
    );
  }

  #ofLog({ log }: Measures, { unsaved, isStoreFailing, isStoreAway }: Standings): void {
    this.#seconds(
      'append_seconds',
      'From the admission of the oldest update of a room in a commit to its being on disk.',
      log.appends,
    );
    this.#seconds('commit_seconds', 'What the store took for a commit.', log.commits);
    this.#counter(
      'commit_failures_total',
      'Commits that the store did not take.',
      () => log.failures,
    );
    this.#gauge('store_failing', '1 from a failed commit until one succeeds.', () =>
      Number(isStoreFailing()),
    );
    this.#gauge('store_away', '1 while it does not answer when it is asked.', () =>
      Number(isStoreAway()),
    );
    this.#gauge('unsaved_updates', 'Updates that are not on disk.', () => unsaved().updates);
    this.#gauge('unsaved_bytes', 'What they take of the bound.', () => unsaved().bytes);
    this.#gauge(
      'unsaved_oldest_seconds',
      'Age of the oldest of them.',
      () => unsaved().oldestMs / SECOND_MS,
    );
  }

  #ofCompactions({ compaction }: Measures, { workers, tooLargeRooms }: Standings): void {
    this.#seconds('compaction_seconds', 'What compactions took.', compaction.times);
    this.#counter(
      'compaction_bytes_total',
      'Bytes of the snapshots that were written.',
      () => compaction.bytes,
    );
    this.#counter(
      'compaction_failures_total',
      'Compactions that failed.',
      () => compaction.failures,
    );
    this.#counter(
      'compactions_too_large_total',
      'Compactions that were not carried out: the document needs more memory than workers may take.',
      () => compaction.tooLarge,
    );
    this.#gauge(
      'too_large_rooms',
      'Rooms that were found too large to merge, since the start and until they were merged.',
      tooLargeRooms,
    );
    this.#gauge(
      'worker_memory_bytes',
      'Memory that all workers together may take.',
      () => workers().memory,
    );
    this.#counter(
      'compactions_outrun_total',
      'Compactions in vain: another instance was first.',
      () => compaction.outrun,
    );
    this.#gauge('worker_jobs_running', 'Jobs in workers.', () => workers().running);
    this.#gauge('worker_jobs_waiting', 'Jobs that wait for a worker.', () => workers().waiting);
  }

  #ofBounds({ bounds }: Standings): void {
    this.#gauge('connections_limit', 'What cowrite_connections may be.', () => bounds.connections);
    this.#gauge(
      'unsaved_bytes_limit',
      'What cowrite_unsaved_bytes may be.',
      () => bounds.unsavedBytes,
    );
    this.#gauge(
      'memory_limit_bytes',
      'What process_resident_memory_bytes may be.',
      () => bounds.memory,
    );
  }

  #ofRelay({ relay }: Measures, standings: Standings): void {
    const gauge = (name: string, help: string, of: (relay: RelayStandings) => number): void =>
      this.#family(name, 'gauge', help, () => {
        const now = standings.relay();
        return now === undefined ? [] : [{ value: of(now) }];
      });
    gauge('relay_connected', '1 while messages get through.', (now) => Number(now.isConnected));
    gauge('other_instances', 'Other instances that are heard of.', (now) => now.others);
    gauge(
      'relay_unheard',
      'Other instances that are there and cannot be heard.',
      (now) => now.unheard,
    );
    gauge('presence_keys', 'People that this instance keeps present.', (now) => now.presenceKeys);
    this.#seconds(
      'relay_lag_seconds',
      "From another instance's sending of updates to their arrival, by both clocks.",
      relay.lag,
    );
    this.#counter('relay_gaps_total', 'Times that the relay was away.', () => relay.gaps);
    this.#counter(
      'relay_holes_total',
      'Times that entries were missing for longer than the relay takes.',
      () => relay.holes,
    );
    this.#counter(
      'relay_repairs_total',
      'Questions to the store for what was missing.',
      () => relay.repairs,
    );
  }

  #gauge(name: string, help: string, read: () => number): void {
    this.#family(name, 'gauge', help, () => [{ value: read() }]);
  }

  #counter(name: string, help: string, read: () => number): void {
    this.#family(name, 'counter', help, () => [{ value: read() }]);
  }

  #tally<K extends string>(name: string, help: string, label: string, tally: Tally<K>): void {
    this.#family(name, 'counter', help, () =>
      Object.entries<number>(tally.counts).map(([key, value]) => ({
        value,
        labels: { [label]: key },
      })),
    );
  }

  #traffic(
    name: string,
    help: string,
    { received, sent }: SocketMeasures,
    what: 'messages' | 'bytes',
  ): void {
    this.#family(name, 'counter', help, () =>
      Object.entries({ received, sent }).flatMap(([direction, { kinds }]) =>
        [...kinds].map(([kind, traffic]) => ({
          value: traffic[what],
          labels: { direction, kind },
        })),
      ),
    );
  }

  #seconds(name: string, help: string, distribution: Distribution): void {
    this.#histogram(name, help, SECOND_MS, distribution);
  }

  /** @param unit how many of what was counted make one of what is shown */
  #histogram(name: string, help: string, unit: number, distribution: Distribution): void {
    this.#family(name, 'histogram', help, () => {
      const { bounds, counts, sum } = distribution;
      let below = 0;
      const buckets = counts.map((count, i) => {
        below += count;
        const le = i < bounds.length ? bounds[i]! / unit : '+Inf';
        return { value: below, labels: { le }, metricName: `cowrite_${name}_bucket` };
      });
      return [
        ...buckets,
        { value: sum / unit, metricName: `cowrite_${name}_sum` },
        { value: below, metricName: `cowrite_${name}_count` },
      ];
    });
  }

  #family(
    name: string,
    type: 'counter' | 'gauge' | 'histogram',
    help: string,
    read: () => readonly Value[],
  ): void {
    const full = `cowrite_${name}`;
    // Not one of prom-client's own classes: those cannot be given what was counted elsewhere.
    const family = {
      name: full,
      get: async () => ({ name: full, help, type, values: read(), aggregator: 'sum' }),
    };
    this.#registry.registerMetric(family as unknown as Metric);
  }
}
