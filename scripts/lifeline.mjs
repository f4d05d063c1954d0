// Preloaded into the server by start.mjs: when that process is killed outright, the server stops.
import { isMainThread } from 'node:worker_threads';

if (isMainThread && process.channel) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // The channel alone must not keep a server alive that has finished.
  process.channel.unref();
}
