/** `cowrite top`: a running server, as it is now, in a terminal. */
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '../clock.js';
import type { Config } from '../config.js';
import { shownUrl } from '../service-url.js';
import { shownName, visible } from '../shown.js';
import { MAX_LISTED } from '../storage/storage.js';
import { command, EXIT, Failure, UsageError, wrong } from '../terminal/command.js';
import { fromServer, SERVER_OPTION, TokenRefused } from '../terminal/server.js';
import { within } from '../within.js';

const SHOWN_ROOMS = 10;
/** Each look reads them anew, and the server has other things to do. */
const MAX_READ_ROOMS = 2_000;
/** Milliseconds for an answer. */
const PATIENCE_MS = 5_000;
/** Of what a proxy says in the server's place. */
const MAX_REASON = 160;

export const topCommand = command({
  name: 'top',
  summary: 'Shows what a running server does, again and again',
  arguments: [],
  output: 'list',
  options: {
    ...SERVER_OPTION,
    interval: { type: 'string', value: 'seconds', help: 'between two looks; 2 if left out' },
    once: { type: 'boolean', help: 'shows one interval, and ends' },
  },
  details: `
Reads /metrics and /api of the server at this machine's PORT, or at --server, with its
ADMIN_TOKEN from the environment. Rates are of the time since the look before. The rooms
are the ${SHOWN_ROOMS} with the most sockets, among the first ${MAX_READ_ROOMS.toLocaleString('en')} by name.

While the server does not answer, it says since when, keeps the last figures, and goes on.
Ctrl-C ends it. It ends with 1 when the token is not the server's, and with --once also when
the server does not answer.

  ADMIN_TOKEN=… cowrite top
  ADMIN_TOKEN=… cowrite top --server https://cowrite.example --once`,
  async run({ values, config }) {
    const { server = `http://127.0.0.1:${config.port}`, once = false } = values;
    const seconds = Number(values.interval ?? 2);
    if (!(seconds > 0 && seconds <= 3_600)) throw wrong('top', '--interval is seconds');
    let last: Look | undefined;
    let figures: readonly string[] = [];
    let silent: { readonly since: Date; readonly why: string } | undefined;
    for (;;) {
      const asked = new Date();
      try {
        const now = await look(server, config);
        silent = undefined;
        if (last !== undefined) figures = figuresOf(last, now);
        last = now;
      } catch (error) {
        if (once || !isPassing(error)) throw error;
        silent = { since: silent?.since ?? asked, why: reasonOf(error) };
      }
      const warnings = silent === undefined ? [] : [...silenceOf(silent, last), ''];
      if (figures.length + warnings.length > 0) {
        const frame = visible(
          `${[`Cowrite at ${shownUrl(server)}`, '', ...warnings, ...figures].join('\n')}\n`,
        );
        // Home and clear, so that a shorter frame leaves nothing of the last.
        process.stdout.write(once || !process.stdout.isTTY ? frame : `\x1b[H\x1b[2J${frame}`);
        if (once) return EXIT.ok;
      }
      await wait(seconds * 1_000);
    }
  },
});

/** Whether another look may succeed: not where the command line or the token is wrong. */
function isPassing(error: unknown): boolean {
  return !(error instanceof UsageError || error instanceof TokenRefused);
}

function reasonOf(error: unknown): string {
  const { message } = error as Error;
  return message.split('\n', 1)[0]!.slice(0, MAX_REASON);
}

function silenceOf({ since, why }: { since: Date; why: string }, last: Look | undefined): string[] {
  const stand = last === undefined ? '' : `; the figures are of ${timeOf(last.time)}`;
  return [`THE SERVER DOES NOT ANSWER SINCE ${timeOf(since)}${stand}`, why];
}

function timeOf(moment: Date): string {
  return moment.toTimeString().slice(0, 8);
}

interface Sample {
  readonly name: string;
  readonly labels: string;
  readonly value: number;
}

interface OpenRoom {
  readonly room: string;
  readonly sessions: number;
  readonly people: number;
}

interface Look {
  /** By the machine's clock, for people. */
  readonly time: Date;
  /** Milliseconds, for rates. */
  readonly at: number;
  readonly samples: readonly Sample[];
  /** By name. */
  readonly rooms: readonly OpenRoom[];
  /** Whether there may be rooms that were not read. */
  readonly isCut: boolean;
}

async function look(server: string, config: Config): Promise<Look> {
  const ask = async (path: string): Promise<string> => {
    const answer = (async () => await textOf(await fromServer(server, path, config)))();
    const text = await within(PATIENCE_MS, systemClock, answer);
    if (text !== undefined) return text;
    throw new Failure(
      `the server at ${shownUrl(server)} did not answer in ${PATIENCE_MS / 1_000} s`,
    );
  };
  const samples = samplesIn(await ask('/metrics'));
  const [time, at] = [new Date(), performance.now()];
  const rooms: OpenRoom[] = [];
  let next: string | null = '';
  while (next !== null && rooms.length < MAX_READ_ROOMS) {
    const query = new URLSearchParams({ open: 'true', limit: `${MAX_LISTED}`, after: next });
    const page: { rooms: OpenRoom[]; next: string | null } = JSON.parse(
      await ask(`/api/rooms?${query}`),
    );
    rooms.push(...page.rooms);
    next = page.next;
  }
  return { time, at, samples, rooms, isCut: next !== null };
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts).toString();
}

function samplesIn(text: string): Sample[] {
  return [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels = '', value]) => ({
    name: name!,
    labels,
    value: Number(value),
  }));
}

function figuresOf(before: Look, now: Look): string[] {
  const seconds = (now.at - before.at) / 1_000;
  const sum = ({ samples }: Look, name: string, label: string): number =>
    samples
      .filter((sample) => sample.name === `cowrite_${name}` && sample.labels.includes(label))
      .reduce((total, { value }) => total + value, 0);
  const gauge = (name: string, label = ''): number => sum(now, name, label);
  const rise = (name: string, label = ''): number =>
    riseOf(sum(before, name, label), sum(now, name, label));
  const rate = (name: string, label = ''): string => perSecond(rise(name, label) / seconds);
  const bytes = (label: string): string =>
    `${sizeOf(rise('message_bytes_total', label) / seconds)}/s`;
  const mean = (name: string): string => {
    const count = rise(`${name}_count`);
    return count === 0 ? '–' : `${((rise(`${name}_sum`) / count) * 1_000).toFixed(1)} ms`;
  };
  const ofProcess = (look: Look, name: string): number =>
    look.samples.find((sample) => sample.name === name)?.value ?? 0;
  const cpu = 'process_cpu_seconds_total';
  const busy = riseOf(ofProcess(before, cpu), ofProcess(now, cpu));
  const [received, sent] = ['direction="received"', 'direction="sent"'];
  const oldest = gauge('unsaved_oldest_seconds').toFixed(1);
  const rows = [
    ['connections', `${gauge('connections')}`, `${rate('upgrades_total')} upgrades`],
    ['', `${gauge('slow_readers')} behind`, `${rate('closes_total')} closed`],
    [
      'rooms',
      `${gauge('rooms', 'state="open"')} open`,
      `${gauge('rooms', 'state="loading"')} loading`,
    ],
    ['in', rate('messages_total', received), bytes(received)],
    ['out', rate('messages_total', sent), bytes(sent)],
    ['commits', rate('commit_seconds_count'), `${mean('commit_seconds')} each`],
    ['unsaved', `${gauge('unsaved_updates')} updates`, `the oldest for ${oldest} s`],
    ['delivery', mean('delivery_lag_seconds'), ''],
    [
      'process',
      `${Math.round((busy / seconds) * 100)} % CPU`,
      sizeOf(ofProcess(now, 'process_resident_memory_bytes')),
    ],
  ];
  const lines = rows.map(([name, one, two]) => `${name!.padEnd(13)}${one!.padEnd(16)}${two}`);
  const problem = problemOf(gauge('store_away') > 0, gauge('store_failing') > 0);
  const warnings = problem === undefined ? [] : [problem, ''];
  return [...warnings, ...lines, ...roomLines(now, gauge('rooms', 'state="open"'))];
}

/** A server that began anew counts from nothing. */
function riseOf(before: number, now: number): number {
  return now < before ? now : now - before;
}

function problemOf(isAway: boolean, isFailing: boolean): string | undefined {
  if (isAway && isFailing) return 'THE STORE DOES NOT ANSWER: NOTHING IS SAVED OR OPENED';
  if (isAway) return 'THE STORE DOES NOT ANSWER: NO DOCUMENT CAN BE OPENED';
  if (isFailing) return 'THE STORE DOES NOT TAKE WHAT IT IS GIVEN';
  return undefined;
}

/** @param open how many rooms there are in all */
function roomLines({ rooms, isCut }: Look, open: number): string[] {
  if (rooms.length === 0) return [];
  // Those with as many stay in the order of their names.
  const busiest = rooms.toSorted((a, b) => b.sessions - a.sessions).slice(0, SHOWN_ROOMS);
  const lines = busiest.map(
    ({ room, sessions, people }) =>
      `${String(sessions).padStart(8)}${String(people).padStart(8)}  ${shownName(room)}`,
  );
  const more = isCut ? open - rooms.length : 0;
  const note = `of the first ${rooms.length} rooms by name; ${more} more are open`;
  return ['', 'sessions  people  room', ...lines, ...(more > 0 ? [note] : [])];
}

function perSecond(rate: number): string {
  return `${rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate)}/s`;
}

function sizeOf(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB'];
  const power = Math.max(0, Math.min(Math.floor(Math.log10(bytes || 1) / 3), units.length - 1));
  const value = bytes / 1_000 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}
