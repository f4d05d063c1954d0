// Preloaded into the server under fuzz: says, when asked, what it holds after a garbage collection.
import { isMainThread } from 'node:worker_threads';

if (isMainThread && process.channel) {
  process.on('message', () => {
    // What a first collection frees of native memory is counted after a second one.
    global.gc();
    setImmediate(() => {
      global.gc();
      const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap');
      process.send({ ...process.memoryUsage(), sockets: sockets.length });
    });
  });
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  // The channel alone must not keep a server alive that has finished.
  process.channel.unref();
}
