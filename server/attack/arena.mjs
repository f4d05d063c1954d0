/** Where it takes place: a server, who probes it, and one attempt after another. */
import { sleep } from '../bench/helper.mjs';
import { leaks } from './leaks.mjs';
import { SECRET, startAttacker, startProber, startServer } from './processes.mjs';

/**
 * Milliseconds: until what is hot is compiled; of a window in which nobody attacks; and of one in
 * which somebody does, at least. Where delays are not judged, enough to see that the server goes on.
 */
const PACES = {
  judged: { warmUp: 4_000, quiet: 2_000, attack: 2_000 },
  facts: { warmUp: 250, quiet: 250, attack: 500 },
};
/** How long a server may go on with what an attack left, before the next one is given another server. */
const SETTLING_MS = 3_000;
const STEP_MS = 250;
/** Of a core, beyond what the honest people cost. */
const IDLE = 0.05;
const TIMES = 2;
/** Beyond so many times what is allowed it is not the machine, and another try would show the same. */
const HOPELESS = 20;
/**
 * Megabytes of a server that is attacked, unless an attack says something else: what its
 * limits let it keep (128 of snapshots, 64 unsaved), its own 100, and as much again of
 * garbage, an earlier attack's too.
 */
const PEAK_MB = 600;
/**
 * Milliseconds: a quiet p99 below counts as this. While it is quiet nobody waits for a core;
 * an attack that keeps it busy has the loop, its worker and the kernel take turns, which
 * the kernel looks at once a tick (4 ms at 250 Hz). That much is the machine's.
 */
const FLOOR = 5;

export class Arena {
  #world;
  #kind;
  #quiet;
  #number = 0;
  #problems = [];
  #tokens = new Set();
  #answers = new Set();
  #logs = [];
  #pace;

  /** @param pace one of {@link PACES} */
  constructor(pace) {
    this.#pace = PACES[pace];
  }

  /** @returns what happened, what was measured, and what is wrong */
  async attempt(attack) {
    try {
      return await this.#attempt(attack);
    } catch (error) {
      const died = this.#world?.process.died();
      const problems = [
        died === undefined ? error.stack : `${died}: ${this.#world.process.lastWords()}`,
      ];
      await this.#leave();
      return { problems, isQuick: false, tally: {}, notes: [] };
    }
  }

  async #attempt({ id, server = 'command', expects = [], must = [], peakMb = PEAK_MB }) {
    await this.#enter(server);
    const { process: running, prober } = this.#world;
    const before = this.#quiet ?? (await window(prober, this.#pace.quiet));
    const number = ++this.#number;
    const attacker = await startAttacker({ id, number, url: running.url, secret: SECRET });
    let during;
    let report;
    try {
      await attacker.heard();
      running.resetPeak();
      await prober.ask('begin');
      await attacker.ask('attack');
      await sleep(this.#pace.attack);
      const measured = prober.ask('end');
      const stopped = attacker.ask('stop');
      during = await measured;
      await prober.ask('begin');
      await stopped;
      report = await attacker.heard();
    } finally {
      attacker.kill();
    }
    const isSettled = await this.#settled();
    const aftermath = await prober.ask('end');
    const peak = running.peakMegabytes();
    for (const token of report.tokens) this.#tokens.add(token);
    for (const answer of report.answers) this.#answers.add(answer);
    const harm = Object.entries({ during, after: aftermath }).flatMap(([when, seen]) =>
      harmOf(seen).map((words) => `${words} (${when})`),
    );
    let quiet = before;
    if (isSettled && harm.length === 0) {
      this.#quiet = await window(prober, this.#pace.quiet);
      // What else the machine does may be in one of them: the less disturbed one is the stricter.
      if (this.#quiet.p99 < before.p99) quiet = this.#quiet;
    } else await this.#leave();
    const problems = [...harm, ...report.problems, ...strange(report.tally, expects, must)];
    if (peak > peakMb) problems.push(`${peak} MB, more than ${peakMb}`);
    const bound = TIMES * Math.max(quiet.p99, FLOOR);
    const worse = Math.max(during.p99, aftermath.p99);
    return {
      problems,
      tally: report.tally,
      notes: [...report.notes, ...(isSettled ? [] : ['goes on'])],
      quiet: quiet.p99,
      attack: during.p99,
      aftermath: aftermath.p99,
      ratio: worse / quiet.p99,
      isQuick: worse < bound,
      isHopeless: worse > HOPELESS * bound,
      peak,
    };
  }

  async #enter(kind) {
    if (this.#kind !== kind) await this.#leave();
    if (this.#world !== undefined) return;
    const running = await startServer(kind);
    this.#kind = kind;
    this.#world = { process: running };
    const prober = await startProber({ url: running.url, secret: SECRET });
    this.#world.prober = prober;
    const { tokens } = await prober.heard();
    for (const token of tokens) this.#tokens.add(token);
    const { warmUp, quiet } = this.#pace;
    await sleep(warmUp);
    const cpu = running.cpuSeconds();
    this.#quiet = await window(prober, quiet);
    const share = (running.cpuSeconds() - cpu) / (quiet / 1000);
    this.#world.share = share;
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
    world.prober?.kill();
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

async function window(prober, ms) {
  await prober.ask('begin');
  await sleep(ms);
  return await prober.ask('end');
}

/** What honest people may not notice at all. */
function harmOf({ lost, unsaved, closed }) {
  return [
    [lost, 'honest edits did not arrive'],
    [unsaved, 'honest edits were not saved'],
    [closed, 'honest sockets were closed'],
  ]
    .filter(([count]) => count > 0)
    .map(([count, words]) => `${count} ${words}`);
}

/** What the server answered and was not to, and the other way round. */
function strange(tally, expects, must) {
  const known = [...expects, ...must];
  return [
    ...Object.keys(tally)
      .filter((outcome) => !known.includes(outcome))
      .map((outcome) => `unexpected: ${outcome}`),
    ...must
      .filter((outcome) => tally[outcome] === undefined)
      .map((outcome) => `not seen: ${outcome}`),
  ];
}
