/**
 * What is in `deploy/` to start Cowrite, checked by what reads it, as far as that is on this
 * machine. What watches it is checked in `deploy-watching.test.ts`, what stands in front of it in
 * `deploy-proxies.test.ts`.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type CowriteServer, MemoryStorage } from '@cowrite/server';
import { describe, expect, test } from 'vitest';
import { mostMemoryFor } from '../src/compact/weight.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { workerMemory } from '../src/memory.js';
import { settings, settingsPage } from '../src/settings.js';
import {
  bytesOf,
  composedServers,
  manifest,
  needed,
  type Probe,
  ROOT,
  read,
  secondsOf,
  seriesOfServer,
} from './deploy-files.js';
import { startServer } from './support.js';

const defaultOf = (name: string) => settings().find((setting) => setting.name === name)?.default;

/** Seconds that a drain takes unless it is told otherwise. */
const DRAIN = Number(defaultOf('DRAIN_SECONDS'));
/** More than sockets and requests that are under way are given when it is over. */
const END = 5;

describe('[DEP-13] memory', () => {
  test('what starts it lets documents grow as far as its memory is enough to merge them', () => {
    const { container, env } = manifest();
    const { memory } = container.resources.limits;
    const started = [
      ['Kubernetes', memory, env] as const,
      ...composedServers().map(
        ([name, { mem_limit = '', environment }]) => [name, mem_limit, environment] as const,
      ),
    ];
    expect(started).toHaveLength(3);
    for (const [name, limit, environment] of started) {
      const workers = workerMemory({ bytes: bytesOf(limit), isOwn: true });
      const needs = mostMemoryFor(Number(environment.MAX_DOCUMENT_BYTES));
      expect(needs, name).toBeGreaterThan(0);
      expect(needs, name).toBeLessThanOrEqual(workers);
      expect(environment, name).not.toHaveProperty('WORKER_MEMORY_MB');
    }
  });
});

describe('[DEP-6] what starts it', () => {
  test('the manifests belong together', () => {
    const { objects, of, labels } = manifest();
    expect(objects.map(({ kind }) => kind).sort()).toEqual([
      ...['Deployment', 'HorizontalPodAutoscaler', 'Ingress', 'PodDisruptionBudget', 'Service'],
    ]);
    expect(of('Deployment').spec.selector.matchLabels).toEqual(labels);
    expect(of('Service').spec.selector).toEqual(labels);
    expect(of('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
    const [{ backend }] = of('Ingress').spec.rules[0].http.paths;
    expect(backend.service.name).toBe(of('Service').metadata.name);
    const ports: { name: string }[] = of('Service').spec.ports;
    expect(ports.map(({ name }) => name)).toContain(backend.service.port.name);
  });

  test('Kubernetes leaves time to drain', () => {
    const { pod, container, env } = manifest();
    const preStop = Number(container.lifecycle.preStop.exec.command[1]);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(
      preStop + Number(env.DRAIN_SECONDS ?? DRAIN) + END,
    );
  });

  test('so do systemd and Docker', () => {
    const stop = /^TimeoutStopSec=(.*)$/m.exec(read('deploy/cowrite.service'))?.[1] ?? '';
    expect(secondsOf(stop)).toBeGreaterThanOrEqual(DRAIN + END);
    for (const [name, { environment, stop_grace_period = '10s' }] of composedServers()) {
      const drain = Number(environment.DRAIN_SECONDS ?? DRAIN);
      expect(secondsOf(stop_grace_period), name).toBeGreaterThanOrEqual(drain + END);
    }
  });

  test('the autoscaler alone says how many, by a figure that the server has', async () => {
    const { of } = manifest();
    const { scaleTargetRef, minReplicas, metrics } = of('HorizontalPodAutoscaler').spec;
    expect(scaleTargetRef.name).toBe(of('Deployment').metadata.name);
    // An apply would set them back, whatever the autoscaler has made of them.
    expect(of('Deployment').spec).not.toHaveProperty('replicas');
    expect(minReplicas).toBeGreaterThan(1);
    const known = await seriesOfServer();
    for (const { pods } of metrics) expect(known).toContain(pods.metric.name);
  });

  test('probes and the Service lead to ports that the server has, and to what it answers there', async () => {
    const { of, container, env } = manifest();
    const storage = new MemoryStorage();
    storage.heads = () => Promise.reject(new Error('the store is away'));
    const [well, away] = [
      await startServer({ metrics: { port: 0 } }),
      await startServer({ metrics: { port: 0 }, storage }),
    ];

    /** Where that port of the container is in this test. */
    const at = (server: CowriteServer, port: string | number): string => {
      const number = container.ports.find(({ name }) => name === port)?.containerPort ?? port;
      if (number === Number(env.PORT ?? defaultOf('PORT'))) return server.url;
      if (number === Number(env.METRICS_PORT)) return new URL(server.metricsUrl!).origin;
      throw new Error(`nothing listens on the port ${port}`);
    };
    const statuses = async ({ httpGet: { path, port } }: Probe) =>
      await Promise.all(
        [well, away].map(async (server) => (await fetch(at(server, port) + path)).status),
      );
    expect(await statuses(container.readinessProbe)).toEqual([200, 503]);
    // A start anew brings no store back.
    expect(await statuses(container.livenessProbe)).toEqual([200, 200]);
    expect(await statuses(container.startupProbe)).toEqual([200, 200]);

    for (const { targetPort } of of('Service').spec.ports) {
      expect((await fetch(`${at(well, targetPort)}/ws/room`)).status).toBe(426);
    }
    for (const { name } of container.ports) at(well, name);
  });

  test('the Ingress lets through what the server takes, and does not cut who is silent', () => {
    const annotations: Record<string, string> = manifest().of('Ingress').metadata.annotations;
    const of = (name: string) => annotations[`nginx.ingress.kubernetes.io/${name}`];
    const [, megabytes] = /^(\d+)m$/.exec(of('proxy-body-size') ?? '') ?? [];
    expect(Number(megabytes) * 2 ** 20).toBeGreaterThanOrEqual(DEFAULT_LIMITS.maxMessageBytes);
    // By then the server itself has cut off a client that says nothing.
    for (const name of ['proxy-read-timeout', 'proxy-send-timeout']) {
      expect(Number(of(name)) * 1_000, name).toBeGreaterThan(2 * DEFAULT_LIMITS.heartbeatMs);
    }
  });

  test('the manifests are what Kubernetes has', async () => {
    for (const object of manifest().objects as { apiVersion: string; kind: string }[]) {
      const path = `kubernetes-models/${object.apiVersion}/${object.kind}`;
      const models: Record<string, new (object: object) => { validate(): void }> = await import(
        /* @vite-ignore */ path
      );
      const Model = models[object.kind];
      if (Model === undefined) throw new Error(`Kubernetes has no ${path}`);
      new Model(object).validate();
    }
  });

  test('every setting that is named exists', () => {
    const known = new Set<string>(settings().map(({ name }) => name));
    const unit = read('deploy/cowrite.service').match(/\b[A-Z]+_[A-Z_]+(?==)/g) ?? [];
    const composed = composedServers().flatMap(([, { environment }]) => Object.keys(environment));
    const named = [...unit, ...Object.keys(manifest().env), ...composed].filter(
      // Postgres's own, and Node's.
      (name) => name !== 'NODE_ENV' && name !== 'PGPASSWORD',
    );
    expect(named.length).toBeGreaterThan(15);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  test('systemd takes the unit', async (context) => {
    // It says nothing of a unit that is right; of a program that is not installed here, it does.
    const { stderr } = await promisify(execFile)(needed('systemd-analyze', context), [
      'verify',
      '--man=no',
      join(ROOT, 'deploy/cowrite.service'),
    ]).catch((error: { stderr: string }) => error);
    expect(stderr.replace(/^.*(is not executable|No such file).*$/gm, '').trim()).toBe('');
  });
});

describe('[DEP-8] the settings', () => {
  test('are in the handbook as the schema has them: `npm run docs` writes them', () => {
    expect(read('docs/operations/settings.md')).toBe(settingsPage());
  });

  test('are all in the README, which has no other', () => {
    const run = read('README.md').split('\n## Run it\n')[1]?.split('\n### ')[0] ?? '';
    const rows = run.match(/^\| `[^|]+\|/gm) ?? [];
    const named = rows.flatMap((row) => row.match(/[A-Z][A-Z_0-9]+/g) ?? []);
    expect(named.sort()).toEqual(
      settings()
        .map(({ name }) => name)
        .sort(),
    );
  });
});
