/**
 * One measurement: the processes it starts end with it, and it ends in time. A
 * server that fails or does not come to an end is a result, not an error.
 */
import { fork } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { pinned, startServer } from './process.mjs';

const CORES = cpus().length;
/** Whom it concerns has a core alone, where there are two. */
export const SERVER_CORE = CORES > 1 ? 0 : undefined;
export const LOAD_CORE = CORES > 1 ? 1 : undefined;

/** Of several servers each has a core, where there are that many and two to spare. */
export function serverCore(index, count) {
  return CORES >= count + 2 ? (index === 0 ? 0 : index + 1) : SERVER_CORE;
}

/** Of a crowd that must not get in the way of those whose keystrokes are timed. */
export const CROWD_CORE = CORES > 2 ? 2 : LOAD_CORE;

/** @returns what `body` does, or `{ failed }` with the reason */
export async function bounded(seconds, body) {
  const ends = [];
  const servers = [];
  let isOver = false;
  const own = async (end) => {
    if (isOver) await end();
    else ends.push(end);
  };
  const scope = {
    own,
    async server(options) {
      const server = await startServer({ core: SERVER_CORE, ...options });
      servers.push(server);
      await own(() => server.stop());
      return server;
    },
    helper: (file, settings, core = LOAD_CORE) => startHelper(own, file, settings, core),
  };
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, seconds * 1000, new Error(`did not finish in ${seconds} s`));
  });
  const running = body(scope);
  // When it is too late, nobody listens to it any more.
  running.catch(() => undefined);
  try {
    return await Promise.race([running, late]);
  } catch (error) {
    const reason = servers.map((server) => server.died()).find(Boolean) ?? error.message;
    if (process.env.DEBUG) console.error(error);
    return { failed: reason };
  } finally {
    clearTimeout(timer);
    isOver = true;
    for (const end of ends.reverse()) await end();
  }
}

/** A process of this folder's that plays clients. `heard` is its next word; `ask` says one and hears the answer. */
async function startHelper(own, file, settings, core) {
  const [execPath, execArgv] = pinned(core, process.execPath, []);
  const child = fork(
    fileURLToPath(new URL(file, import.meta.url)),
    [JSON.stringify(settings)],
    execPath === process.execPath ? { execArgv } : { execPath, execArgv },
  );
  const words = [];
  let ended;
  let wake = () => undefined;
  child.on('message', (word) => {
    words.push(word);
    wake();
  });
  child.once('exit', (code) => {
    ended = new Error(`${file} ended with ${code}`);
    wake();
  });
  await own(() => child.kill('SIGKILL'));
  const heard = async () => {
    while (words.length === 0) {
      if (ended !== undefined) throw ended;
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    return words.shift();
  };
  return {
    pid: child.pid,
    heard,
    ask(word) {
      child.send(word);
      return heard();
    },
    kill: () => child.kill('SIGKILL'),
  };
}
