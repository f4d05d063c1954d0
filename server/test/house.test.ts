/** The house's own rules, held by looking at its source. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SOURCE = fileURLToPath(new URL('../src', import.meta.url));

/** From the top of the house down: a file imports only from its own floor or a lower one. */
const FLOORS = [
  ['index', 'cli'],
  ['commands/'],
  ['server'],
  ['ending', 'orders', 'option-check', 'server-options'],
  [
    'config',
    'http',
    'static-files',
    'file-tags',
    'api/',
    'doors',
    'rooms',
    'session',
    'storage/open',
    'terminal/',
    'settings',
    'logging',
    'metrics-port',
  ],
  ['administrator', 'failover', 'health', 'intake', 'large-update', 'standing'],
  ['transport', 'attach', 'upgrade-offers', 'arrival', 'bad-request', 'in-turn'],
  ['room'],
  ['compactor', 'joining'],
  ['contents'],
  [
    'instances',
    'relay-check',
    'shared-store-check',
    'link',
    'people',
    'load',
    'fanout',
    'log',
    'stranded',
    'waiting',
    'parking',
    'snapshots',
    'stretches',
    'compact/compaction',
    'compact/workers',
    'merges',
  ],
  ['metrics', 'measures'],
  ['limits'],
  [
    'crowd',
    'allowance',
    'cooldown',
    'cut-offs',
    'odd-requests',
    'rejection-log',
    'untrusted-proxies',
  ],
  ['message-pieces', 'awareness-parts'],
  [
    'drain',
    'places',
    'dialect',
    'room-name',
    'awareness',
    'acknowledgements',
    'compact/policy',
    'compact/merge-note',
    'compact/over-budget',
    'memory',
  ],
  [
    'frame',
    'storage/',
    'relay/',
    'presence/',
    'auth/',
    'compact/apart',
    'compact/apart-entry',
    'compact/thread',
    'compact/worker',
  ],
  [
    'redis',
    'redis-group',
    'redis-signs',
    'certificates',
    'compact/compare',
    'compact/job',
    'compact/levels-of',
    'compact/digest',
    'compact/whole',
    'compact/weight',
    'compact/merge',
    'compact/set-aside',
    'compact/view',
    'compact/forms',
    'compact/frames',
    'compact/packed',
    'clock',
    'loop-delay',
    'trace',
    'within',
    'turns',
    'address',
    'service-url',
    'bucket',
  ],
  [
    'update/',
    'document-url',
    'name',
    'nearest',
    'request-path',
    'runtime',
    'setting-values',
    'shown',
  ],
];

interface Source {
  readonly name: string;
  readonly text: string;
  readonly imports: readonly { readonly from: string; readonly isType: boolean }[];
}

const sources: Source[] = (readdirSync(SOURCE, { recursive: true }) as string[])
  .filter((file) => file.endsWith('.ts') && !/\.test\.ts$|\.d\.ts$/.test(file))
  .map((file) => {
    const text = readFileSync(join(SOURCE, file), 'utf8');
    const imports = [
      ...[...text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)'/gms)].map(
        ([, isType, from]) => ({ from: from!, isType: isType !== undefined }),
      ),
      ...[...text.matchAll(/\bimport\('([^']+)'\)/g)].map(([, from]) => ({
        from: from!,
        isType: false,
      })),
    ];
    return { name: file.replace(/\.ts$/, ''), text, imports };
  });

function floorOf(name: string): number {
  return FLOORS.findIndex((floor) =>
    floor.some((room) => (room.endsWith('/') ? name.startsWith(room) : name === room)),
  );
}

/** What the worker loads. */
const DOCUMENT_BUILDERS = [
  'compact/digest',
  'compact/job',
  'compact/levels-of',
  'compact/merge',
  'compact/set-aside',
  'compact/view',
];

describe('[HOUSE] the house', () => {
  it('[HOUSE-1] builds documents nowhere but in compact/', () => {
    const users = sources.filter(({ imports }) => imports.some(({ from }) => from === 'yjs'));
    expect(users.map(({ name }) => name).sort()).toEqual(DOCUMENT_BUILDERS);
    // Whoever imports the job from the loop's side would bring Yjs with it.
    const importers = sources.filter(({ name, imports }) =>
      imports.some(
        ({ from, isType }) =>
          !isType &&
          /compact\/(digest|job|levels-of|merge|set-aside|view)\.js$/.test(
            resolve(SOURCE, dirname(name), from),
          ),
      ),
    );
    const others = importers.filter(({ name }) => !DOCUMENT_BUILDERS.includes(name));
    expect(others.map(({ name }) => name)).toEqual(['compact/worker']);
  });

  it('[HOUSE-2] imports only downwards', () => {
    for (const { name, imports } of sources) {
      expect(floorOf(name), `${name} has no floor`).toBeGreaterThanOrEqual(0);
      for (const { from, isType } of imports) {
        if (!from.startsWith('.') || isType) continue;
        const target = relative(SOURCE, resolve(SOURCE, dirname(name), from)).replace(/\.js$/, '');
        expect(floorOf(target), `${name} imports ${target}`).toBeGreaterThanOrEqual(floorOf(name));
      }
    }
  });

  it('[HOUSE-3] reads the environment in one place', () => {
    const readers = sources.filter(({ text }) => text.includes('process.env'));
    expect(readers.map(({ name }) => name)).toEqual(['config']);
  });

  it('[HOUSE-5] has commands that know nothing of each other', () => {
    const commands = sources.filter(({ name }) => name.startsWith('commands/'));
    expect(commands.length).toBeGreaterThan(5);
    for (const { name, imports } of commands) {
      const others = imports.filter(({ from }) => !from.startsWith('../') && from.startsWith('.'));
      expect(others, name).toEqual([]);
    }
  });

  it('[HOUSE-4] has a test for every rule of SPEC.md, and a rule for every tagged test', () => {
    const root = join(SOURCE, '../..');
    const spec = readFileSync(join(root, 'SPEC.md'), 'utf8');
    const rules = new Set(
      [...spec.matchAll(/^- \*\*([A-Z0-9]+-\d+)\*\*/gm)].map(([, rule]) => rule!),
    );
    const tested = new Set<string>();
    for (const folder of ['client/src', 'client/test', 'server/src', 'server/test', 'e2e']) {
      for (const file of readdirSync(join(root, folder), { recursive: true }) as string[]) {
        if (!/(\.test|contract)\.ts$/.test(file)) continue;
        const text = readFileSync(join(root, folder, file), 'utf8');
        for (const [, rule] of text.matchAll(/\[([A-Z0-9]+-\d+)\]/g)) tested.add(rule!);
      }
    }
    expect(rules.size).toBeGreaterThan(50);
    expect([...rules].filter((rule) => !tested.has(rule))).toEqual([]);
    expect([...tested].filter((rule) => !rules.has(rule))).toEqual([]);
  });
});
