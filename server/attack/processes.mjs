/** The processes of an attack: the server that is attacked, who probes it, and who attacks. */
import { fork, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atExit, pinned, watched } from '../bench/process.mjs';

const path = (file) => fileURLToPath(new URL(file, import.meta.url));

/** The server has a core alone where there are two: what an attacker burns is its own. */
const HAS_CORES = cpus().length > 1;
const SERVER_CORE = HAS_CORES ? 0 : undefined;
const ATTACKER_CORE = HAS_CORES ? 1 : undefined;
/** The prober too, where there are three. */
const PROBER_CORE = cpus().length > 2 ? 2 : ATTACKER_CORE;

/** Who measures is served before who attacks, and all of them before what else this machine does. */
const NICE = { server: -20, prober: -20, attacker: -10 };

/**
 * Only root may. It has no threads yet; they will be as it is. Linux weighs processes
 * within their session first, so each is to have one of its own and that has to be
 * preferred, too.
 */
function prefer(child, nice) {
  try {
    setPriority(child.pid, nice);
    writeFileSync(`/proc/${child.pid}/autogroup`, String(nice));
  } catch {
    // Then it is noisier.
  }
}

export const SECRET = 'the secret of the server that is attacked';
const SCRIPTS = { command: path('../dist/cli.js'), hooks: path('hooks-server.mjs') };
/** Whoever kills this process outright is not to leave a server behind. */
const LIFELINE = new URL('../../scripts/lifeline.mjs', import.meta.url).href;
const READY_MS = 10_000;

/** @param kind `command`, as it is built, or `hooks`, that of an application whose hooks fail */
export async function startServer(kind) {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-attack-'));
  const log = join(folder, 'log');
  const stderr = openSync(log, 'w');
  const [command, args] = pinned(SERVER_CORE, process.execPath, [
    '--import',
    LIFELINE,
    SCRIPTS[kind],
  ]);
  const child = spawn(command, args, {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      STORAGE_URL: `lmdb:${join(folder, 'data')}`,
      AUTH_SECRET: SECRET,
      // Else the attackers' addresses, all of this machine, would count for nothing.
      TRUSTED_PROXIES: 'loopback',
      LOG_LEVEL: 'trace',
    },
    // A file: where a pipe is full, a server that logs waits for its reader.
    stdio: ['ignore', 'pipe', stderr, 'ipc'],
    detached: true,
  });
  closeSync(stderr);
  prefer(child, NICE.server);
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const settled = atExit(() => {
    child.kill('SIGKILL');
    remove();
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  let end;
  child.once('exit', (code, signal) => {
    end = `the server ended with ${code ?? signal}`;
  });
  const url = await new Promise((resolve, reject) => {
    let output = '';
    setTimeout(reject, READY_MS, new Error('the server did not start')).unref();
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const ready = /ready: http(\S+)\n/.exec(output);
      if (ready !== null) resolve(`ws${ready[1]}/ws`);
    });
    void exited.then(() => reject(new Error(`${end}: ${readFileSync(log, 'utf8').slice(-2_000)}`)));
  });
  return {
    url,
    ...watched(child.pid),
    died: () => end,
    /** Of what it wrote to stderr. */
    lastWords: () => readFileSync(log, 'utf8').slice(-2_000),
    /** Ends it as an operator would. @returns whether it ended well by itself */
    async stop() {
      const isGone = child.exitCode !== null || child.signalCode !== null;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await exited;
      clearTimeout(timer);
      const isFine = !isGone && child.exitCode === 0;
      const words = isFine ? undefined : isGone ? end : `SIGTERM: ${end}`;
      const logged = readFileSync(log, 'utf8');
      remove();
      settled();
      return { problem: words, log: logged };
    },
  };
}

export const startProber = (settings) =>
  startHelper('prober.mjs', settings, PROBER_CORE, NICE.prober);
export const startAttacker = (settings) =>
  startHelper('attacker.mjs', settings, ATTACKER_CORE, NICE.attacker);

function startHelper(file, settings, core, nice) {
  const [execPath, execArgv] = pinned(core, process.execPath, []);
  const child = fork(path(file), [JSON.stringify(settings)], {
    execPath,
    execArgv,
    detached: true,
  });
  prefer(child, nice);
  const settled = atExit(() => child.kill('SIGKILL'));
  const words = [];
  let ended;
  let wake = () => undefined;
  child.on('message', (word) => {
    words.push(word);
    wake();
  });
  child.once('exit', (code, signal) => {
    ended = new Error(`${file} ended with ${code ?? signal}`);
    settled();
    wake();
  });
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
    heard,
    ask(word) {
      child.send(word);
      return heard();
    },
    kill: () => child.kill('SIGKILL'),
  };
}
