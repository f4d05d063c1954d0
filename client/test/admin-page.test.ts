/** What the administrator's page makes of the server's figures, and of a backup on its way. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NoBackup, receive } from '../admin/src/backup-file.js';
import { FAILURES, Failures } from '../admin/src/failures.js';
import { type Figure, Figures } from '../admin/src/figures.js';
import {
  DELIVERY_MS,
  LATE_S,
  LIMITS_A_SECOND,
  LOOP_MS,
  levelOf,
  SLOW,
} from '../admin/src/levels.js';
import { parse } from '../admin/src/samples.js';

const ALERTS = read('../../deploy/prometheus/alerts.yml');
const HANDBOOK = read('../../docs/operations/README.md');
const METRICS = read('../../docs/operations/metrics.md');

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

/** The number in an alert's expression. */
function alertAt(name: string, pattern: RegExp): number {
  const [, rule = ''] = ALERTS.split(`alert: ${name}\n`);
  return Number(pattern.exec(rule.split('- alert:')[0]!)?.[1]);
}

function figureOf(figures: Figures, label: string): Figure | undefined {
  return figures.all.find((figure) => figure.label === label);
}

const T0 = new Date('2027-01-02T03:04:05Z');
const T1 = new Date('2027-01-02T03:04:07Z');

describe('the administrator’s page', () => {
  it('[ADMIN-13] its bounds are those of the alerts, and its recipes are in the handbook', () => {
    expect(LOOP_MS.bad / 1_000).toBe(alertAt('CowriteLoopBusy', /> ([\d.]+)/));
    expect(SLOW.part).toBe(alertAt('CowriteSlowReaders', /> ([\d.]+) \*/));
    expect(SLOW.atLeast).toBe(alertAt('CowriteSlowReaders', /and cowrite_slow_readers > (\d+)/));
    expect(LIMITS_A_SECOND).toBe(alertAt('CowriteLimits', /> ([\d.]+)/));
    // What the handbook says to watch.
    expect(METRICS).toContain(`\`cowrite_unsaved_oldest_seconds\` over ${LATE_S} |`);
    expect(METRICS).toContain(`\`cowrite_delivery_lag_seconds\` over ${DELIVERY_MS.bad / 1_000} |`);
    const warnings = read('../admin/src/warnings.ts') + read('../admin/src/main.ts');
    const recipes = [
      ...FAILURES.map(({ recipe }) => recipe),
      ...[...warnings.matchAll(/recipe: '(\w+)'/g)].map(([, recipe]) => recipe),
    ];
    expect(recipes.length).toBeGreaterThan(10);
    expect(recipes.filter((recipe) => !HANDBOOK.includes(`### ${recipe}\n`))).toEqual([]);
  });

  it('[ADMIN-13] at a bound all is still well', () => {
    const bounds = { near: 1, bad: 2 };
    expect([1, 1.1, 2, 2.1].map((value) => levelOf(value, bounds))).toEqual([
      'fine',
      'near',
      'near',
      'bad',
    ]);
  });

  it('[ADMIN-13] a figure of which the server does not say the limit is near none', () => {
    const figures = new Figures();
    figures.look('process_resident_memory_bytes 9e12\ncowrite_connections 5000000', 0, T0);
    for (const label of ['Memory', 'Connections']) {
      expect(figureOf(figures, label)).toMatchObject({ level: 'fine', note: undefined });
    }
  });

  it('[ADMIN-12] a figure keeps its last value while nothing is measured, and says of when it is', () => {
    const figures = new Figures();
    const commits = (count: number, sum: number) =>
      `cowrite_append_seconds_count ${count}\ncowrite_append_seconds_sum ${sum}`;
    const toDisk = () => figureOf(figures, 'Time to disk');
    figures.look(commits(0, 0), -4_000, T0);
    expect(toDisk()).toBe(undefined);
    figures.look(commits(0, 0), -2_000, T0);
    expect(toDisk()).toMatchObject({ shown: '–', note: 'nothing yet', of: undefined });
    // What was measured before the page was opened is more than nothing.
    const late = new Figures();
    for (const at of [0, 2_000]) late.look(commits(2, 1), at, T0);
    expect(figureOf(late, 'Time to disk')).toMatchObject({
      shown: '500 ms',
      note: 'since its start',
      level: 'fine',
    });
    const again = new Figures();
    const toDiskAgain = () => figureOf(again, 'Time to disk');
    for (const at of [0, 2_000]) again.look(commits(1, 1), at, T0);
    again.look(commits(3, 5), 4_000, T0);
    expect(toDiskAgain()).toMatchObject({ shown: '2 s', of: undefined, level: 'bad' });
    again.look(commits(3, 5), 6_000, T1);
    // What was bad a while ago is no reason to look now.
    expect(toDiskAgain()).toMatchObject({ shown: '2 s', of: T0, level: 'fine' });
    expect(toDiskAgain()?.points).toEqual([null, 2_000, null]);
  });

  it('[ADMIN-13] failures are told for a quarter of an hour, also over a new start of the server', () => {
    const failures = new Failures();
    const look = (at: number, closes: number) =>
      failures.look({ at, sample: parse(`cowrite_closes_total{code="1011"} ${closes}`) });
    const told = () => failures.warnings(true).map(({ more }) => more);
    look(0, 40);
    expect(told()).toEqual([]);
    look(10_000, 42);
    // It was started again, and has failed once more.
    look(20_000, 1);
    expect(told()).toEqual([': 3 connections were closed in the last 20 s.']);
    look(900_000, 1);
    expect(told()).toEqual([': 3 connections were closed in the last 15 min.']);
    look(915_000, 1);
    expect(told()).toEqual([': 1 connection was closed in the last 15 min.']);
    look(930_000, 1);
    expect(told()).toEqual([]);
  });

  it('[ADMIN-10] a backup that is larger than a browser should hold is given up at once', async () => {
    let sent = 0;
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        sent++;
        controller.enqueue(new Uint8Array(100));
        if (sent === 50) controller.close();
      },
      cancel() {
        isCancelled = true;
      },
    });
    const receiving = receive(body, 1_000, () => undefined);
    await expect(receiving).rejects.toThrow(
      new NoBackup('it is larger than a browser should hold: use cowrite backup with --server'),
    );
    expect([sent < 20, isCancelled]).toEqual([true, true]);
  });
});
