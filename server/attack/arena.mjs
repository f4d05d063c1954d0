/** Where it takes place: a server, who probes it, and one attempt after another. */
import { sleep } from '../bench/helper.mjs';
import { SECRET, startAttacker, startProber, startServer } from './processes.mjs';
import { leaks } from './tokens.mjs';

const WINDOW_MS = 3_000;
/** Until what is hot is compiled. */
const WARM_UP_MS = 4_000;
/** How long a server may go on with what an attack left, before the next one is given another server. */
const SETTLING_MS = 3_000;
const STEP_MS = 250;
/** Of a core, beyond what the honest people cost. */
const IDLE = 0.05;
const TIMES = 2;
/** Megabytes that an attack may make of a server, unless it says something else. */
const PEAK_MB = 400;
/**
 * Milliseconds.
 */
const FLOOR = 0;

export class Arena {
  #world;
  #kind;
  #quiet;
  #number = 0;
  #problems = [];
  #tokens = new Set();
  #answers = new Set();
  #logs = [];

  /** @returns what happened, what was measured, and what is wrong */
  async attempt({ id, server = 'command', expects = [], must = [], peakMb = PEAK_MB }) {
    const number = ++this.#number;
    const { process: running, prober } = await this.#worldOf(server);
    const before = this.#quiet ?? (await window(prober));
    const attacker = await startAttacker({ id, number, url: running.url, secret: SECRET });
    const problems = [];
    let report;
    let during;
    let aftermath;
    try {
      await attacker.heard();
      running.resetPeak();
      await prober.ask('begin');
      await attacker.ask('attack');
      await sleep(WINDOW_MS);
      const measured = prober.ask('end');
      const stopped = attacker.ask('stop');
      during = await measured;
      await prober.ask('begin');
      await stopped;
      report = await attacker.heard();
    } catch (error) {
      problems.push(running.died() ?? error.message);
    } finally {
      attacker.kill();
    }
    if (report === undefined || running.died() !== undefined) {
      await this.#leave();
      return { problems, isQuick: false, tally: {}, notes: [] };
    }
    const isSettled = await this.#settled();
    aftermath = await prober.ask('end');
    const peak = running.peakMegabytes();
    let quiet = before;
    if (isSettled) {
      this.#quiet = await window(prober);
      // What else the machine does may be in one of them: the less disturbed one is the stricter.
      if (this.#quiet.p99 < before.p99) quiet = this.#quiet;
    }
    for (const token of report.tokens) this.#tokens.add(token);
    for (const answer of report.answers) this.#answers.add(answer);
    for (const [name, seen] of Object.entries({ during, aftermath })) {
      if (seen.lost > 0) problems.push(`${seen.lost} honest edits did not arrive (${name})`);
      if (seen.unsaved > 0) problems.push(`${seen.unsaved} honest edits were not saved (${name})`);
      if (seen.closed > 0) problems.push(`${seen.closed} honest sockets were closed (${name})`);
    }
    problems.push(...report.problems);
    for (const outcome of Object.keys(report.tally)) {
      if (![...expects, ...must].includes(outcome)) problems.push(`unexpected: ${outcome}`);
    }
    for (const outcome of must) {
      if (report.tally[outcome] === undefined) problems.push(`not seen: ${outcome}`);
    }
    if (peak > peakMb) problems.push(`${peak} MB, more than ${peakMb}`);
    if (!isSettled) await this.#leave();
    const worse = Math.max(during.p99, aftermath.p99);
    return {
      problems,
      tally: report.tally,
      notes: [...report.notes, ...(isSettled ? [] : ['goes on'])],
      quiet: quiet.p99,
      attack: during.p99,
      aftermath: aftermath.p99,
      ratio: worse / quiet.p99,
      isQuick: worse < TIMES * Math.max(quiet.p99, FLOOR),
      peak,
    };
  }

  async #worldOf(kind) {
    if (this.#kind !== kind) await this.#leave();
    if (this.#world !== undefined) return this.#world;
    const running = await startServer(kind);
    const prober = await startProber({ url: running.url, secret: SECRET });
    const { tokens } = await prober.heard();
    for (const token of tokens) this.#tokens.add(token);
    await sleep(WARM_UP_MS);
    const cpu = running.cpuSeconds();
    this.#quiet = await window(prober);
    const share = (running.cpuSeconds() - cpu) / (WINDOW_MS / 1000);
    this.#world = { process: running, prober, share };
    this.#kind = kind;
    return this.#world;
  }

  /** Waits until the server has no more to do than honest people give it. @returns whether that came */
  async #settled() {
    const { process: running, share } = this.#world;
    for (let waited = 0; waited < SETTLING_MS; waited += STEP_MS) {
      const before = running.cpuSeconds();
      await sleep(STEP_MS);
      if ((running.cpuSeconds() - before) / (STEP_MS / 1000) < share + IDLE) return true;
    }
    return false;
  }

  async #leave() {
    const world = this.#world;
    this.#world = undefined;
    this.#quiet = undefined;
    if (world === undefined) return;
    world.prober.kill();
    const { problem, log } = await world.process.stop();
    if (problem !== undefined) this.#problems.push(problem);
    this.#logs.push(log);
  }

  /** The last row of the table: no log and no answer holds any of a token. */
  async close() {
    await this.#leave();
    const texts = { log: this.#logs.join('\n'), answers: [...this.#answers].join('\n') };
    const found = leaks(this.#tokens, texts);
    return {
      problems: [...this.#problems, ...found],
      words: `${this.#tokens.size} tokens were looked for in ${Math.round(texts.log.length / 1024)} KB of log and ${this.#answers.size} different answers`,
    };
  }
}

async function window(prober) {
  await prober.ask('begin');
  await sleep(WINDOW_MS);
  return await prober.ask('end');
}
