import { describe, expect, it } from 'vitest';
import { Measures } from './measures.js';
import { Metrics, type Standings } from './metrics.js';

/** All at once, each with a figure of its own: none is shown as another, and none is forgotten. */
describe('[MET] what was counted', () => {
  const measures = new Measures();
  const { sockets, fanout, log, compaction, relay, limits, loop } = measures;
  let next = 0;
  const expected = new Map<string, number>();
  /** @returns a figure that nothing else has, which is to be shown under this name */
  const shown = (name: string): number => {
    next++;
    expected.set(`cowrite_${name}`, next);
    return next;
  };
  const spread = (name: string, distribution: { add(value: number): void }): void => {
    const count = shown(`${name}_count`);
    for (let i = 0; i < count; i++) distribution.add(1);
  };

  const boundNamed = (name: string): number => expected.get(`cowrite_${name}`)!;
  const standings: Standings = {
    bounds: {
      get connections() {
        return boundNamed('connections_limit');
      },
      get unsavedBytes() {
        return boundNamed('unsaved_bytes_limit');
      },
      get memory() {
        return boundNamed('memory_limit_bytes');
      },
    },
    connections: () => expected.get('cowrite_connections')!,
    rooms: () => ({
      open: expected.get('cowrite_rooms{state="open"}')!,
      loading: expected.get('cowrite_rooms{state="loading"}')!,
    }),
    quarantinedRooms: () => expected.get('cowrite_quarantined_rooms')!,
    unsaved: () => ({
      updates: expected.get('cowrite_unsaved_updates')!,
      bytes: expected.get('cowrite_unsaved_bytes')!,
      oldestMs: 1_000 * expected.get('cowrite_unsaved_oldest_seconds')!,
    }),
    tooLargeRooms: () => expected.get('cowrite_too_large_rooms')!,
    isStoreFailing: () => true,
    isStoreAway: () => false,
    workers: () => ({
      running: expected.get('cowrite_worker_jobs_running')!,
      waiting: expected.get('cowrite_worker_jobs_waiting')!,
      memory: expected.get('cowrite_worker_memory_bytes')!,
    }),
    relay: () => ({
      isConnected: true,
      unheard: expected.get('cowrite_relay_unheard')!,
      others: expected.get('cowrite_other_instances')!,
      presenceKeys: expected.get('cowrite_presence_keys')!,
    }),
  };

  it('[MET-2] [MET-3] [MET-4] [MET-5] [MET-6] [MET-7] [MET-11] is shown under its name', async () => {
    for (const name of [
      'connections',
      'rooms{state="open"}',
      'rooms{state="loading"}',
      'quarantined_rooms',
      'unsaved_updates',
      'unsaved_bytes',
      'unsaved_oldest_seconds',
      'worker_jobs_running',
      'worker_jobs_waiting',
      'worker_memory_bytes',
      'too_large_rooms',
      'other_instances',
      'presence_keys',
      'relay_unheard',
      'connections_limit',
      'unsaved_bytes_limit',
      'memory_limit_bytes',
    ]) {
      shown(name);
    }
    sockets.attempts = shown('upgrades_total');
    sockets.reconnects = shown('reconnects_total');
    sockets.refusals.add('origin', shown('upgrades_refused_total{reason="origin"}'));
    sockets.closes.add('1006', shown('closes_total{code="1006"}'));
    sockets.received.add('step1', shown('message_bytes_total{direction="received",kind="step1"}'));
    sockets.sent.add('saved', shown('message_bytes_total{direction="sent",kind="saved"}'));
    spread('connection_seconds', sockets.visits);
    spread('received_message_bytes', sockets.receivedSizes);
    limits.add('watchers', shown('limits_reached_total{limit="watchers"}'));
    spread('fanout_batch_updates', fanout.batches);
    spread('delivery_lag_seconds', fanout.lag);
    fanout.behind = shown('slow_readers');
    fanout.skipped = shown('skipped_frames_total');
    fanout.evicted = shown('evictions_total');
    spread('append_seconds', log.appends);
    spread('commit_seconds', log.commits);
    log.failures = shown('commit_failures_total');
    spread('compaction_seconds', compaction.times);
    compaction.bytes = shown('compaction_bytes_total');
    compaction.failures = shown('compaction_failures_total');
    compaction.tooLarge = shown('compactions_too_large_total');
    compaction.outrun = shown('compactions_outrun_total');
    compaction.quarantined = shown('quarantined_entries_total');
    spread('relay_lag_seconds', relay.lag);
    relay.gaps = shown('relay_gaps_total');
    relay.holes = shown('relay_holes_total');
    relay.repairs = shown('relay_repairs_total');
    spread('loop_delay_seconds', loop);
    expected.set('cowrite_store_failing', 1).set('cowrite_store_away', 0);
    expected.set('cowrite_relay_connected', 1);

    const text = await new Metrics(measures, standings).text();
    const lines = text.split('\n');
    for (const [name, value] of expected) expect(lines).toContain(`${name} ${value}`);
    const families = [...text.matchAll(/^# TYPE (cowrite_\S+)/gm)].map(([, name]) => name!);
    const unseen = families.filter(
      (family) => ![...expected.keys()].some((name) => name.startsWith(family)),
    );
    // How many messages there were is seen by their bytes.
    expect(unseen).toEqual(['cowrite_messages_total']);
  });
});
