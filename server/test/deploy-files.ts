/** What the tests of `deploy/` share: its files, what reads them, and what the server shows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer } from '@cowrite/server';
import type { TestContext } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { findProgram } from '../../scripts/find-programs.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** Its path; where this machine does not have it, the test is skipped. */
export function needed(
  name: string,
  { skip }: TestContext,
  find: () => string | undefined = () => findProgram(name),
): string {
  return find() ?? skip(`there is no ${name} on this machine`);
}

const TOKEN = 'an-administrator-with-a-long-token';

/** The names of all series that a server has, also those that nobody has counted yet. */
export async function seriesOfServer(): Promise<ReadonlySet<string>> {
  const server = await createServer({
    port: 0,
    storage: 'memory:',
    adminToken: TOKEN,
    logger: 'silent',
  });
  try {
    const answer = await fetch(`${server.url}/metrics`, {
      headers: { Authorization: `Bearer ${TOKEN}` },
    });
    const types = [...(await answer.text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)];
    return new Set(
      types.flatMap(([, name, type]) =>
        type === 'histogram'
          ? ['bucket', 'count', 'sum'].map((part) => `${name}_${part}`)
          : [name as string],
      ),
    );
  } finally {
    await server.close();
  }
}

type Environment = Readonly<Record<string, string>>;

export interface Container {
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: string[] } } };
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string | number };
}

/** The objects of the manifest, and what the tests look at most. */
export function manifest() {
  const documents = parseAllDocuments(read('deploy/kubernetes/cowrite.yaml'));
  const errors = documents.flatMap((document) => document.errors);
  if (errors.length > 0) throw new AggregateError(errors, 'cowrite.yaml cannot be read');
  const objects = documents.map((document) => document.toJS());
  const { metadata, spec } = objects.find(({ kind }) => kind === 'Deployment').spec.template;
  const container = spec.containers[0] as Container;
  return {
    objects,
    of: (kind: string) => objects.find((object) => object.kind === kind),
    labels: metadata.labels as Readonly<Record<string, string>>,
    pod: spec,
    container,
    env: Object.fromEntries(container.env.map(({ name, value }) => [name, value])) as Environment,
  };
}

export interface Composed {
  readonly image: string;
  readonly environment: Environment;
  readonly ports?: readonly string[];
  readonly stop_grace_period?: string;
  readonly mem_limit?: string;
}

/** The servers that `docker compose` starts, by name. */
export function composedServers(): [name: string, service: Composed][] {
  const { services } = parse(read('docker-compose.yml'), { merge: true });
  return Object.entries(services as Record<string, Composed>).filter(
    ([, { image }]) => image === 'cowrite',
  );
}

/** As Kubernetes and Docker write them: `512Mi`, `2Gi`, `2g`. */
export function bytesOf(amount: string): number {
  const [, number, unit] = /^(\d+)(Mi|Gi|m|g)$/.exec(amount) ?? [];
  if (number === undefined) throw new Error(`${JSON.stringify(amount)} is no amount of memory`);
  return Number(number) * (unit!.toLowerCase().startsWith('m') ? 1024 ** 2 : 1024 ** 3);
}

/** As the files write them: `45`, `30s`, `2m`. */
export function secondsOf(duration: string): number {
  const [, amount, unit = 's'] = /^(\d+)(ms|s|m|h)?$/.exec(duration.trim()) ?? [];
  const units: Readonly<Record<string, number>> = { ms: 1 / 1_000, s: 1, m: 60, h: 3_600 };
  if (amount === undefined) throw new Error(`${JSON.stringify(duration)} is no duration`);
  return Number(amount) * units[unit]!;
}
