// Loaded into a server whose event loop is watched: on SIGUSR2 it writes, to the file that LOOP_DELAY
// names, by how many milliseconds a timer was late since the last time it was asked.
const { writeFileSync } = require('node:fs');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { isMainThread } = require('node:worker_threads');

const RESOLUTION_MS = 10;

if (isMainThread) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // What it counts is from one timer to the next.
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  process.on('SIGUSR2', () => {
    const figures = { p99: late(histogram.percentile(99)), worst: late(histogram.max) };
    histogram.reset();
    writeFileSync(process.env.LOOP_DELAY, JSON.stringify(figures));
  });
}
