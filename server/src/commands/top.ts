/** `cowrite top`: a running server, as it is now, in a terminal. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../config.js';
import { command, EXIT, wrong } from '../terminal/command.js';
import { fromServer, SERVER_OPTION } from '../terminal/server.js';

const SHOWN_ROOMS = 10;

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
ADMIN_TOKEN from the environment. Rates are of the last interval. Ctrl-C ends it.

  ADMIN_TOKEN=… cowrite top
  ADMIN_TOKEN=… cowrite top --server https://cowrite.example --once`,
  async run({ values, config }) {
    const { server = `http://127.0.0.1:${config.port}`, once = false } = values;
    const seconds = Number(values.interval ?? 2);
    if (!(seconds > 0 && seconds <= 3_600)) throw wrong('top', '--interval is seconds');
    let before = await look(server, config);
    for (;;) {
      await wait(seconds * 1_000);
      const now = await look(server, config);
      const frame = frameOf(server, before, now);
      // Home and clear, so that a shorter frame leaves nothing of the last.
      process.stdout.write(once || !process.stdout.isTTY ? frame : `\x1b[H\x1b[2J${frame}`);
      if (once) return EXIT.ok;
      before = now;
    }
  },
});

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
  readonly at: number;
  readonly samples: readonly Sample[];
  readonly rooms: readonly OpenRoom[];
}

async function look(server: string, config: Config): Promise<Look> {
  const samples = samplesIn(await textOf(await fromServer(server, '/metrics', config)));
  const path = `/api/rooms?open=true&limit=${SHOWN_ROOMS}`;
  const { rooms } = JSON.parse(await textOf(await fromServer(server, path, config)));
  return { at: performance.now(), samples, rooms };
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

function frameOf(server: string, before: Look, now: Look): string {
  const seconds = (now.at - before.at) / 1_000;
  const sum = ({ samples }: Look, name: string, label: string): number =>
    samples
      .filter((sample) => sample.name === `cowrite_${name}` && sample.labels.includes(label))
      .reduce((total, { value }) => total + value, 0);
  const gauge = (name: string, label = ''): number => sum(now, name, label);
  const rise = (name: string, label = ''): number =>
    sum(now, name, label) - sum(before, name, label);
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
      `${Math.round(((ofProcess(now, cpu) - ofProcess(before, cpu)) / seconds) * 100)} % CPU`,
      sizeOf(ofProcess(now, 'process_resident_memory_bytes')),
    ],
  ];
  const lines = rows.map(([name, one, two]) => `${name!.padEnd(13)}${one!.padEnd(16)}${two}`);
  const rooms = now.rooms.map(
    ({ room, sessions, people }) =>
      `${String(sessions).padStart(8)}${String(people).padStart(8)}  ${room}`,
  );
  const head = rooms.length === 0 ? [] : ['', 'sessions  people  room'];
  const failing =
    gauge('store_failing') > 0 ? ['THE STORE DOES NOT TAKE WHAT IT IS GIVEN', ''] : [];
  return `${[`Cowrite at ${server}`, '', ...failing, ...lines, ...head, ...rooms].join('\n')}\n`;
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
