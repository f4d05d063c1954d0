/**
 * What is in `deploy/`, checked by what reads it, as far as that is on this machine: every figure
 * that an alert or the dashboard names exists, and every alert has its recipe.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, type TestContext, test, vi } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { findHaproxy, findProgram } from '../../scripts/find-programs.mjs';
import { createServer } from '../src/index.js';
import { settings, settingsPage } from '../src/settings.js';
import { freePort } from './free-port.js';
import { startServer, temporaryFolder } from './support.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TOKEN = 'an administrator with a long token'.replaceAll(' ', '-');

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** Its path; where this machine does not have it, the test is skipped. */
function needed(name: string, { skip }: TestContext): string {
  return findProgram(name) ?? skip(`there is no ${name} on this machine`);
}

/** The names of all series that a server has, also those that nobody has counted yet. */
async function seriesOfServer(): Promise<ReadonlySet<string>> {
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

/** What an expression of Prometheus reads, of ours and of Node's. */
const seriesIn = (expression: string) =>
  expression.match(/\b(cowrite|nodejs|process)_[a-z0-9_]+\b/g) ?? [];

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string };
}

const alerts = (): Alert[] =>
  (parse(read('deploy/prometheus/alerts.yml')) as { groups: { rules: Alert[] }[] }).groups.flatMap(
    ({ rules }) => rules,
  );

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

describe('[DEP-5] what watches it', () => {
  test('alerts and the dashboard read only figures that exist', async () => {
    const known = await seriesOfServer();
    const { panels } = JSON.parse(read('deploy/grafana/cowrite.json')) as { panels: Panel[] };
    const expressions = [
      ...alerts().map(({ expr }) => expr),
      ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ];
    expect(expressions.length).toBeGreaterThan(40);
    const unknown = expressions.flatMap(seriesIn).filter((name) => !known.has(name));
    expect([...new Set(unknown)]).toEqual([]);
  });

  test('every alert has its recipe in the handbook, and every recipe its alert', () => {
    const section = read('docs/operations/README.md').split('\n## When an alert rings\n')[1] ?? '';
    const recipes = [...section.matchAll(/^### (\S+)$/gm)].map(([, name]) => name);
    expect(recipes).toEqual(alerts().map(({ alert }) => alert));
  });

  test('Prometheus takes the alerts', async (context) => {
    await promisify(execFile)(needed('promtool', context), ['check', 'config', 'prometheus.yml'], {
      cwd: join(ROOT, 'deploy/prometheus'),
    });
  });
});

describe('[DEP-6] what starts it', () => {
  interface Container {
    readonly name: string;
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly env: readonly { readonly name: string; readonly value: string }[];
    readonly [probe: string]: unknown;
  }

  test('the manifests belong together, and leave time to drain', () => {
    const documents = parseAllDocuments(read('deploy/kubernetes/cowrite.yaml'));
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    const objects = documents.map((document) => document.toJS());
    const of = (kind: string) => objects.find((object) => object.kind === kind);
    expect(objects.map(({ kind }) => kind).sort()).toEqual([
      ...['Deployment', 'HorizontalPodAutoscaler', 'Ingress', 'PodDisruptionBudget', 'Service'],
    ]);
    const { spec } = of('Deployment').spec.template;
    const container = spec.containers[0] as Container;
    const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
    const preStop = Number(
      (container.lifecycle as { preStop: { exec: { command: string[] } } }).preStop.exec.command[1],
    );
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(
      preStop + Number(env.DRAIN_SECONDS) + 10,
    );
    const ports = new Map(container.ports.map(({ name, containerPort }) => [name, containerPort]));
    expect(ports.get('metrics')).toBe(Number(env.METRICS_PORT));
    const { labels } = of('Deployment').spec.template.metadata;
    expect(of('Service').spec.selector).toEqual(labels);
    expect(of('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
    expect(of('HorizontalPodAutoscaler').spec.scaleTargetRef.name).toBe(
      of('Deployment').metadata.name,
    );
  });

  test('the manifests are what Kubernetes has', async () => {
    for (const document of parseAllDocuments(read('deploy/kubernetes/cowrite.yaml'))) {
      const object = document.toJS() as { apiVersion: string; kind: string };
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
    const manifest = [
      ...read('deploy/kubernetes/cowrite.yaml').matchAll(/name: ([A-Z]+[A-Z_]*), value/g),
    ].map(([, name]) => name as string);
    const named = [...unit, ...manifest].filter((name) => name !== 'NODE_ENV');
    expect(named.length).toBeGreaterThan(5);
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

describe('[DEP-7] a proxy', () => {
  /** Answers health checks as told, and everything else with its name. */
  async function standIn(name: string): Promise<{ port: number; isReady: boolean }> {
    const state = { port: 0, isReady: true };
    const http = createHttpServer(({ url }, answer) => {
      answer.statusCode = url === '/health/ready' && !state.isReady ? 503 : 200;
      answer.end(name);
    }).listen(0, '127.0.0.1');
    await once(http, 'listening');
    state.port = (http.address() as AddressInfo).port;
    onTestFinished(() => {
      http.close();
      http.closeAllConnections();
    });
    return state;
  }

  interface Command {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }

  type Run = (
    context: TestContext,
    at: string,
    one: string,
    two: string,
  ) => Promise<Command> | Command;

  /** In front of two servers. */
  const PROXIES: readonly [name: string, run: Run][] = [
    [
      'HAProxy',
      (context, at, one, two) => ({
        program: findHaproxy() ?? needed('haproxy', context),
        args: ['-f', join(ROOT, 'deploy/haproxy.cfg')],
        env: { LISTEN: at, SERVER_1: one, SERVER_2: two },
      }),
    ],
    [
      'Caddy',
      async (context, at, one, two) => ({
        program: needed('caddy', context),
        args: ['run', '--adapter', 'caddyfile', '--config', join(ROOT, 'deploy/Caddyfile')],
        env: {
          NAMES: `http://${at}`,
          SERVERS: `${one} ${two}`,
          CADDY_ADMIN: `127.0.0.1:${await freePort()}`,
          HOME: temporaryFolder(),
        },
      }),
    ],
  ];

  /** @returns where it listens, in front of these two */
  async function startProxy(
    run: Run,
    context: TestContext,
    [one, two]: readonly [number, number],
  ): Promise<string> {
    const port = await freePort();
    const at = (of: number) => `127.0.0.1:${of}`;
    const { program, args, env } = await run(context, at(port), at(one), at(two));
    const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
    const exited = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    return `http://127.0.0.1:${port}`;
  }

  const PATIENCE = { timeout: 15_000, interval: 50 };

  /** Passes everything on to a server, and counts how often that is asked whether it is ready. */
  async function counting(server: { port: number }): Promise<{ port: number; asked: number }> {
    const state = { port: 0, asked: 0 };
    const relay = createTcpServer((near) => {
      const far = connect(server.port, '127.0.0.1');
      near.on('data', (head) => {
        if (head.toString('latin1').startsWith('GET /health/ready ')) state.asked++;
      });
      const drop = () => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) socket.on('error', drop).once('close', drop);
      near.pipe(far).pipe(near);
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    onTestFinished(() => void relay.close());
    state.port = (relay.address() as AddressInfo).port;
    return state;
  }

  test.for(PROXIES)('%s finds Cowrite ready', async ([, run], context) => {
    const one = await counting(await startServer());
    const two = await counting(await startServer());
    const proxy = await startProxy(run, context, [one.port, two.port]);
    // When they are asked again, it has had the first answer.
    const looks = () => Math.min(one.asked, two.asked);
    await vi.waitFor(() => expect(looks()).toBeGreaterThanOrEqual(2), PATIENCE);
    expect((await fetch(`${proxy}/health/live`)).status).toBe(200);
  });

  test.for(PROXIES)(
    '%s sends nobody new to an instance that is not ready',
    async ([, run], context) => {
      const [one, two] = [await standIn('one'), await standIn('two')];
      const proxy = await startProxy(run, context, [one.port, two.port]);
      const ask = async () => await fetch(`${proxy}/`).then((answer) => answer.text(), String);
      const served = async () => new Set(await Promise.all(Array.from({ length: 6 }, ask)));
      await vi.waitFor(
        async () => expect(await served()).toEqual(new Set(['one', 'two'])),
        PATIENCE,
      );
      one.isReady = false;
      await vi.waitFor(async () => expect(await served()).toEqual(new Set(['two'])), PATIENCE);
      one.isReady = true;
      await vi.waitFor(
        async () => expect(await served()).toEqual(new Set(['one', 'two'])),
        PATIENCE,
      );
    },
  );
});
