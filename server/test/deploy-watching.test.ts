/**
 * What is in `deploy/` to watch Cowrite: what Prometheus scrapes, the alerts, the dashboard. Schemas
 * check it everywhere; Prometheus's own programs, where this machine has them.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, type TestContext, test, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { findPromtool } from '../../scripts/find-programs.mjs';
import {
  composedServers,
  manifest,
  needed,
  ROOT,
  read,
  secondsOf,
  seriesOfServer,
} from './deploy-files.js';
import { freePort } from './free-port.js';
import { startServer, temporaryFolder } from './support.js';

const PROMETHEUS = join(ROOT, 'deploy/prometheus');

/** Runs it in a folder. @throws what it says of a file that is wrong */
async function promtool(context: TestContext, folder: string, ...args: string[]): Promise<string> {
  const program = needed('promtool', context, findPromtool);
  try {
    return (await promisify(execFile)(program, args, { cwd: folder })).stdout;
  } catch (error) {
    const { message, stdout } = error as Error & { stdout: string };
    throw new Error(`${message}\n${stdout}`);
  }
}

/** A folder with these files, written as YAML. */
function folderWith(files: Readonly<Record<string, unknown>>): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), stringify(content));
  }
  return folder;
}

/** What an expression of Prometheus reads, of ours and of Node's. */
const seriesIn = (expression: string) =>
  expression.match(/\b(cowrite|nodejs|process)_[a-z0-9_]+\b/g) ?? [];

const duration = z.string().regex(/^\d+(s|m|h)$/);

const alertsFile = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Cowrite[A-Z]\w+$/),
          expr: z.string(),
          for: duration.optional(),
          labels: z.strictObject({ severity: z.enum(['page', 'warn', 'info']) }),
          annotations: z.strictObject({ summary: z.string() }),
        }),
      ),
    }),
  ),
});

const alerts = () =>
  alertsFile
    .parse(parse(read('deploy/prometheus/alerts.yml')))
    .groups.flatMap(({ rules }) => rules);

const scrapeFile = z.strictObject({
  global: z.strictObject({ evaluation_interval: duration }),
  rule_files: z.tuple([z.literal('alerts.yml')]),
  scrape_configs: z.tuple([
    z.strictObject({
      job_name: z.literal('cowrite'),
      scrape_interval: duration,
      static_configs: z
        .tuple([z.strictObject({ targets: z.array(z.string().regex(/^[\w-]+:\d+$/)) })])
        .optional(),
      kubernetes_sd_configs: z
        .tuple([
          z.strictObject({
            role: z.literal('pod'),
            selectors: z.tuple([z.strictObject({ role: z.literal('pod'), label: z.string() })]),
          }),
        ])
        .optional(),
      relabel_configs: z
        .array(
          z.strictObject({
            source_labels: z.array(z.string()),
            regex: z.string().optional(),
            action: z.enum(['keep', 'drop', 'replace']).optional(),
            target_label: z.string().optional(),
          }),
        )
        .optional(),
    }),
  ]),
});

const scrapeOf = (name: string) => {
  const file = scrapeFile.parse(parse(read(`deploy/prometheus/${name}.yml`)));
  return { file, scrape: file.scrape_configs[0] };
};

/** Panels that Grafana has without a plugin. */
const PANEL_TYPES = [
  ...['alertlist', 'annolist', 'barchart', 'bargauge', 'candlestick', 'canvas', 'dashlist'],
  ...['datagrid', 'debug', 'flamegraph', 'gauge', 'geomap', 'heatmap', 'histogram', 'logs', 'news'],
  ...['nodeGraph', 'piechart', 'row', 'stat', 'state-timeline', 'status-history', 'table', 'text'],
  ...['timeseries', 'traces', 'trend', 'xychart'],
] as const;

/** Those of its units that are used here. */
const UNITS = ['short', 's', 'bytes', 'Bps', 'cps', 'percentunit'] as const;

const dataSource = z.strictObject({
  type: z.literal('prometheus'),
  // The variable: whoever imports the dashboard has a data source of their own.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's
  uid: z.literal('${datasource}'),
});

const panelBase = {
  id: z.int().positive(),
  title: z.string().min(1),
  gridPos: z.strictObject({
    x: z.int().min(0),
    y: z.int().min(0),
    w: z.int().min(1).max(24),
    h: z.int().min(1),
  }),
};

const target = z.strictObject({
  refId: z.string().regex(/^[A-Z]$/),
  expr: z.string().min(1),
  legendFormat: z.string(),
});

const panel = z.union([
  z.strictObject({
    ...panelBase,
    type: z.literal('row'),
    collapsed: z.literal(false),
    panels: z.tuple([]),
  }),
  z.strictObject({
    ...panelBase,
    type: z.enum(PANEL_TYPES).exclude(['row']),
    datasource: dataSource,
    fieldConfig: z.strictObject({
      defaults: z.looseObject({ unit: z.enum(UNITS) }),
      overrides: z.array(z.unknown()),
    }),
    options: z.looseObject({}),
    targets: z.array(target).min(1),
  }),
]);

const dashboardFile = z.strictObject({
  title: z.string().min(1),
  uid: z
    .string()
    .regex(/^[\w-]+$/)
    .max(40),
  tags: z.array(z.string()),
  // Older ones it changes when they are loaded; of newer ones it knows nothing.
  schemaVersion: z.int().min(36).max(41),
  editable: z.boolean(),
  refresh: duration,
  time: z.strictObject({ from: z.string().regex(/^now-\d+[mhd]$/), to: z.literal('now') }),
  templating: z.strictObject({
    list: z.tuple([
      z.strictObject({
        name: z.literal('datasource'),
        type: z.literal('datasource'),
        query: z.literal('prometheus'),
        label: z.string(),
      }),
      z.strictObject({
        name: z.literal('instance'),
        type: z.literal('query'),
        label: z.string(),
        datasource: dataSource,
        query: z.string().regex(/^label_values\(\w+, instance\)$/),
        multi: z.boolean(),
        includeAll: z.boolean(),
        allValue: z.string(),
        current: z.strictObject({ text: z.string(), value: z.string() }),
        refresh: z.literal([1, 2]),
      }),
    ]),
  }),
  panels: z.array(panel),
});

const dashboard = () => dashboardFile.parse(JSON.parse(read('deploy/grafana/cowrite.json')));

const targetsOf = (of: z.infer<typeof panel>) => (of.type === 'row' ? [] : of.targets);

describe('[DEP-5] what watches it', () => {
  test('alerts and the dashboard read only figures that exist', async () => {
    const known = await seriesOfServer();
    const { panels, templating } = dashboard();
    const expressions = [
      ...alerts().map(({ expr }) => expr),
      ...panels.flatMap(targetsOf).map(({ expr }) => expr),
      ...templating.list.map(({ query }) => query),
    ];
    expect(expressions.length).toBeGreaterThan(40);
    const unknown = expressions.flatMap(seriesIn).filter((name) => !known.has(name));
    expect([...new Set(unknown)]).toEqual([]);
    expect(templating.list.flatMap(({ query }) => seriesIn(query))).toHaveLength(1);
  });

  test('every alert has its recipe in the handbook, and every recipe its alert', () => {
    const section = read('docs/operations/README.md').split('\n## When an alert rings\n')[1] ?? '';
    const recipes = [...section.matchAll(/^### (\S+)$/gm)].map(([, name]) => name);
    expect(recipes).toEqual(alerts().map(({ alert }) => alert));
  });

  test("Prometheus takes the alerts and the dashboard's questions", async (context) => {
    await promtool(context, PROMETHEUS, 'check', 'config', 'prometheus.yml');
    const rules = dashboard()
      .panels.flatMap(targetsOf)
      .map(({ expr }, i) => ({
        record: `panels:${i}`,
        expr: expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m'),
      }));
    const folder = folderWith({ 'panels.yml': { groups: [{ name: 'panels', rules }] } });
    await promtool(context, folder, 'check', 'rules', 'panels.yml');
  });
});

describe('[DEP-9] the dashboard', () => {
  test('is one that Grafana loads', () => {
    const { panels, templating } = dashboard();
    const ids = panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const variables = new Set([...templating.list.map(({ name }) => name), '__rate_interval']);
    for (const panel of panels) {
      const { title } = panel;
      const targets = targetsOf(panel);
      const refIds = targets.map(({ refId }) => refId);
      expect(new Set(refIds).size, title).toBe(refIds.length);
      for (const { expr } of targets) {
        for (const [, name] of expr.matchAll(/\$\{?(\w+)/g)) expect(variables).toContain(name);
      }
    }
  });

  test('has its panels side by side, none over another, and no gap between them', () => {
    const cells = new Map<string, string>();
    let rows = 0;
    for (const { title, gridPos } of dashboard().panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      rows = Math.max(rows, gridPos.y + gridPos.h);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(cells.get(`${x},${y}`), `below ${title}`).toBeUndefined();
          cells.set(`${x},${y}`, title);
        }
      }
    }
    expect(cells.size).toBe(24 * rows);
  });

  test('shows everything that an alert goes by', () => {
    const shown = new Set(
      dashboard()
        .panels.flatMap(targetsOf)
        .flatMap(({ expr }) => seriesIn(expr)),
    );
    const unseen = alerts()
      .flatMap(({ expr }) => seriesIn(expr))
      .filter((name) => !shown.has(name));
    expect(unseen).toEqual([]);
    // And how compactions do, which no alert says.
    expect(shown).toContain('cowrite_compaction_seconds_bucket');
    expect(shown).toContain('cowrite_compaction_bytes_total');
  });
});

describe('[DEP-10] an alert', () => {
  const casesFile = z.strictObject({
    rule_files: z.tuple([z.literal('alerts.yml')]),
    evaluation_interval: duration,
    tests: z.array(
      z.strictObject({
        name: z.string(),
        interval: duration,
        input_series: z.array(z.strictObject({ series: z.string(), values: z.string() })),
        alert_rule_test: z.array(
          z.strictObject({
            eval_time: z.string().regex(/^(\d+m)?(\d+s)?$/),
            alertname: z.string(),
            exp_alerts: z.array(
              z.strictObject({
                exp_labels: z.looseObject({ severity: z.string(), instance: z.string() }),
                exp_annotations: z.strictObject({ summary: z.string() }),
              }),
            ),
          }),
        ),
      }),
    ),
  });

  const cases = () => casesFile.parse(parse(read('deploy/prometheus/alerts.test.yml'))).tests;

  test('has a case in which it rings for the one, and neither for the other nor too soon', () => {
    const all = cases();
    expect(all.map(({ name }) => name)).toEqual(alerts().map(({ alert }) => alert));
    for (const { alert, expr, for: patience } of alerts()) {
      const { input_series, alert_rule_test } = all.find(({ name }) => name === alert)!;
      // All that it reads is there of both, so that neither is quiet for having no series.
      const read = /\bup(?=\{)/.test(expr) ? ['up'] : seriesIn(expr);
      for (const name of read) {
        for (const instance of ['loud', 'quiet']) {
          const isThere = input_series.some(
            ({ series }) =>
              series.startsWith(`${name}{`) && series.includes(`instance="${instance}"`),
          );
          expect(isThere, `${name} of ${instance} in ${alert}`).toBe(true);
        }
      }
      expect(new Set(alert_rule_test.map(({ alertname }) => alertname))).toEqual(new Set([alert]));
      const rings = alert_rule_test.filter(({ exp_alerts }) => exp_alerts.length > 0);
      expect(rings.length, alert).toBeGreaterThan(0);
      for (const { exp_labels } of rings.flatMap(({ exp_alerts }) => exp_alerts)) {
        expect(exp_labels.instance, alert).toBe('loud');
      }
      if (patience !== undefined) {
        expect(alert_rule_test.length, `${alert} too soon`).toBeGreaterThan(rings.length);
      }
    }
  });

  test('that waits is looked at as often as it waits, or oftener', () => {
    for (const name of ['prometheus', 'kubernetes']) {
      const { file, scrape } = scrapeOf(name);
      const waits = alerts().flatMap(({ for: patience }) =>
        patience ? [secondsOf(patience)] : [],
      );
      expect(secondsOf(file.global.evaluation_interval)).toBeLessThanOrEqual(Math.min(...waits));
      expect(secondsOf(scrape.scrape_interval)).toBeLessThanOrEqual(Math.min(...waits));
    }
  });

  test('rings in those cases, and only there', async (context) => {
    await promtool(context, PROMETHEUS, 'test', 'rules', 'alerts.test.yml');
  });
});

describe('[DEP-11] Prometheus finds the servers', () => {
  /** What the port for metrics answers whoever calls it so, with the server on this host. */
  async function answerOf(host: string | undefined, name: string): Promise<number | undefined> {
    const server = await startServer({
      metrics: { port: 0, ...(host !== undefined && { host }) },
    });
    const { port } = new URL(server.metricsUrl!);
    const asked = request({ host: '127.0.0.1', port, path: '/metrics', headers: { Host: name } });
    const [answer] = await once(asked.end(), 'response');
    answer.resume();
    return answer.statusCode;
  }

  test('of `docker compose`, on their own network only', async () => {
    const { targets } = scrapeOf('prometheus').scrape.static_configs![0];
    const servers = composedServers();
    expect(servers.length).toBeGreaterThan(1);
    expect(targets).toEqual(
      servers.map(([name, { environment }]) => `${name}:${environment.METRICS_PORT}`),
    );
    for (const [name, { environment, ports }] of servers) {
      expect(ports, name).toBeUndefined();
      const { METRICS_HOST, METRICS_PORT } = environment;
      expect(await answerOf(METRICS_HOST, `${name}:${METRICS_PORT}`), name).toBe(200);
    }
  });

  /** How the pods of the manifest look to Prometheus's discovery: one target a port. */
  function pods() {
    const { container, labels } = manifest();
    const pod = (name: string, ip: string, phase = 'Running') =>
      container.ports.map(({ name: port, containerPort }) => ({
        targets: [`${ip}:${containerPort}`],
        labels: {
          __meta_kubernetes_namespace: 'default',
          __meta_kubernetes_pod_name: name,
          __meta_kubernetes_pod_phase: phase,
          __meta_kubernetes_pod_container_port_name: port,
        },
      }));
    return { labels, pod };
  }

  test('of Kubernetes: one target a pod, by its name', async (context) => {
    const { env } = manifest();
    const { labels, pod } = pods();
    const { file, scrape } = scrapeOf('kubernetes');
    const [{ selectors }] = scrape.kubernetes_sd_configs!;
    expect(Object.entries(labels).map((label) => label.join('='))).toContain(selectors[0].label);
    expect(await answerOf(env.METRICS_HOST, `10.0.0.1:${env.METRICS_PORT}`)).toBe(200);

    // Debian's Prometheus has no discovery of Kubernetes: what that would find stands in its place.
    const { kubernetes_sd_configs: _, ...rest } = scrape;
    const found = [
      ...pod('cowrite-one', '10.0.0.1'),
      ...pod('cowrite-two', '10.0.0.2'),
      ...pod('cowrite-evicted', '10.0.0.3', 'Failed'),
    ];
    const folder = folderWith({
      'alerts.yml': parse(read('deploy/prometheus/alerts.yml')),
      'kubernetes.yml': { ...file, scrape_configs: [{ ...rest, static_configs: found }] },
    });
    await promtool(context, folder, 'check', 'config', 'kubernetes.yml');
    const discovery = ['check', 'service-discovery', '--timeout=1s', 'kubernetes.yml', 'cowrite'];
    const targets: { labels: Record<string, string> }[] = JSON.parse(
      await promtool(context, folder, ...discovery),
    );
    const scraped = targets
      .filter(({ labels }) => Object.keys(labels).length > 0)
      .map(({ labels: { __address__, job, instance, namespace, pod } }) => {
        return [__address__, job, instance, namespace, pod].join(' ');
      });
    expect(scraped.sort()).toEqual([
      `10.0.0.1:${env.METRICS_PORT} cowrite cowrite-one default cowrite-one`,
      `10.0.0.2:${env.METRICS_PORT} cowrite cowrite-two default cowrite-two`,
    ]);
  });

  test('the autoscaler is given the figure of each pod', async (context) => {
    const resource = z.strictObject({ resource: z.string() });
    const rule = z.strictObject({
      seriesQuery: z.string(),
      resources: z.strictObject({ overrides: z.record(z.string(), resource) }),
      name: z.strictObject({ as: z.string() }),
      metricsQuery: z.string(),
    });
    const adapterFile = z.strictObject({
      prometheus: z.strictObject({ url: z.url(), port: z.int() }),
      rules: z.strictObject({ default: z.literal(false), custom: z.tuple([rule]) }),
    });
    const name = 'prometheus-adapter.yaml';
    expect(read('deploy/kubernetes/cowrite.yaml')).toContain(name);
    const [custom] = adapterFile.parse(parse(read(`deploy/kubernetes/${name}`))).rules.custom;
    const [metric] = manifest().of('HorizontalPodAutoscaler').spec.metrics;
    expect(custom.name.as).toBe(metric.pods.metric.name);
    const known = await seriesOfServer();
    const [series = ''] = seriesIn(custom.seriesQuery);
    expect(known).toContain(series);

    const labelOf = (kind: string) =>
      Object.entries(custom.resources.overrides).find(([, { resource }]) => resource === kind)?.[0];
    // As the adapter does it, for the pods of the Deployment.
    const question = custom.metricsQuery
      .replace('<<.Series>>', series)
      .replace('<<.GroupBy>>', `${labelOf('pod')}`)
      .replace(
        '<<.LabelMatchers>>',
        `${labelOf('namespace')}="default",${labelOf('pod')}=~"cowrite-one|cowrite-two"`,
      );
    const of = (pod: string, job = 'cowrite', namespace = 'default') =>
      `${series}{instance="${pod}",job="${job}",namespace="${namespace}",pod="${pod}"}`;
    const given = {
      [of('cowrite-one')]: 7,
      [of('cowrite-two')]: 9,
      [of('cowrite-one', 'kubernetes-pods')]: 7,
      [of('cowrite-one', 'cowrite', 'staging')]: 1,
    };
    const test = {
      interval: '15s',
      input_series: Object.entries(given).map(([series, value]) => ({
        series,
        values: `${value}+0x4`,
      })),
      promql_expr_test: [
        {
          expr: question,
          eval_time: '1m',
          exp_samples: [
            { labels: '{pod="cowrite-one"}', value: 7 },
            { labels: '{pod="cowrite-two"}', value: 9 },
          ],
        },
        {
          expr: `count by (pod) (${custom.seriesQuery})`,
          eval_time: '1m',
          exp_samples: [
            { labels: '{pod="cowrite-one"}', value: 2 },
            { labels: '{pod="cowrite-two"}', value: 1 },
          ],
        },
      ],
    };
    const folder = folderWith({ 'adapter.test.yml': { rule_files: [], tests: [test] } });
    await promtool(context, folder, 'test', 'rules', 'adapter.test.yml');
  });

  test('and reads them', async (context) => {
    const program = needed('prometheus', context);
    const servers = [
      await startServer({ metrics: { port: 0 } }),
      await startServer({ metrics: { port: 0 } }),
    ];
    const targets = servers.map(({ metricsUrl }) => new URL(metricsUrl!).host);
    const { file, scrape } = scrapeOf('prometheus');
    const folder = folderWith({
      'alerts.yml': parse(read('deploy/prometheus/alerts.yml')),
      'prometheus.yml': {
        ...file,
        scrape_configs: [{ ...scrape, scrape_interval: '1s', static_configs: [{ targets }] }],
      },
    });
    const at = `127.0.0.1:${await freePort()}`;
    const child = spawn(
      program,
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=${at}`,
        '--log.level=error',
      ],
      { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const exited = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    const ask = async (expr: string): Promise<Map<string, string>> => {
      const query = new URLSearchParams({ query: expr });
      const { data } = await (await fetch(`http://${at}/api/v1/query?${query}`)).json();
      const result: { metric: { instance: string }; value: [number, string] }[] = data.result;
      return new Map(result.map(({ metric, value }) => [metric.instance, value[1]]));
    };
    const patience = { timeout: 120_000, interval: 100 };
    await vi.waitFor(
      async () =>
        expect(await ask('up{job="cowrite"}')).toEqual(new Map(targets.map((at) => [at, '1']))),
      patience,
    );
    expect(await ask('cowrite_connections')).toEqual(new Map(targets.map((at) => [at, '0'])));
  });
});
