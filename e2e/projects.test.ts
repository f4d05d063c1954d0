/**
 * The packages in projects of other tools than this checkout's: CommonJS, TypeScript's ways to find
 * types, Jest, Metro, and state that is kept behind proxies. The tools are the real ones.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeBlocks } from './markdown.js';
import { install, PATIENCE, pack, ROOT, run } from './packed.js';
import { compile, typeScriptOf } from './snippets.js';

/** What is used of the field's tools, each at one version. */
const TOOLS = {
  '@react-native/babel-preset': '0.77.0',
  '@types/node': '20.19.0',
  '@types/react': '19.3.3',
  immer: '11.2.13',
  jest: '30.5.2',
  'metro-0.81': 'npm:metro@0.81.4',
  'metro-0.87': 'npm:metro@0.87.0',
  mobx: '6.15.0',
  pinia: '4.1.0',
  react: '19.3.1',
  'solid-js': '1.9.20',
  svelte: '5.57.3',
  // One that has every way to find types; later ones have fewer.
  typescript: '5.9.3',
  vue: '3.5.45',
  'vue-2': 'npm:vue@2.7.16',
  ws: '8.21.0',
  yjs: '13.6.33',
};

/** What Yjs says where there are two of it. */
const TWO_COPIES = 'Yjs was already imported';

describe('the packages in projects of other tools', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-projects-'));
  const project = join(folder, 'project');

  beforeAll(async () => {
    const packed = await pack(folder);
    mkdirSync(project);
    writeFileSync(
      join(project, 'package.json'),
      JSON.stringify({ name: 'application', private: true }),
    );
    await install(project, packed, TOOLS);
    cpSync(join(ROOT, 'e2e/projects'), project, { recursive: true });
    const babel = { presets: ['module:@react-native/babel-preset'] };
    writeFileSync(join(project, 'babel.config.json'), JSON.stringify(babel));
    const config = codeBlocks('docs/react-native.md').find(({ text }) => text.includes('resolver'));
    writeFileSync(join(project, 'native.config.js'), config?.text ?? '');
  }, PATIENCE);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a program in the project. @returns what it prints */
  async function node(...args: readonly string[]): Promise<string> {
    const { stdout, stderr } = await run(process.execPath, [...args], { cwd: project }).catch(
      ({ message, stdout }) => {
        throw new Error(`${message}\n${stdout}`);
      },
    );
    expect(stderr).not.toContain(TWO_COPIES);
    return stdout;
  }

  const USED = 'hello, true, 4404, function\n';

  test('[PKG-9] an application in CommonJS has one Yjs, and requires the server as well', async () => {
    expect(await node('use.cjs')).toBe(USED);
  });

  const typed = async (file: string, ...how: readonly string[]) => {
    const usual = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022'];
    const compiler = join(project, 'node_modules/typescript/bin/tsc');
    return await node(compiler, ...usual, '--types', 'node', ...how, file);
  };

  test.each([
    ['types.ts', 'node16', 'node16'],
    ['types.ts', 'nodenext', 'nodenext'],
    ['types-all.ts', 'nodenext', 'nodenext'],
    ['types.ts', 'commonjs', 'node'],
    ['types-all.ts', 'commonjs', 'node'],
    ['types-all.ts', 'esnext', 'bundler'],
  ])(
    '[PKG-9] TypeScript finds the types of %s where the module is %s, resolved by %s',
    async (file, module, resolution) => {
      expect(await typed(file, '--module', module, '--moduleResolution', resolution)).toBe('');
    },
  );

  test('[PKG-11] a test of Jest, with no settings of its own, uses the client', async () => {
    const jest = join(project, 'node_modules/jest/bin/jest.js');
    const report = JSON.parse(await node(jest, '--json', '--ci', '--runInBand', 'use.test.js'));
    expect(report).toMatchObject({ success: true, numPassedTests: 1 });
  });

  test.each(['metro-0.81', 'metro-0.87'])(
    '[PKG-12] what %s bundles works with what React Native has of URL',
    async (metro) => {
      const bundle = join(folder, `${metro}.js`);
      await node('metro.cjs', metro, bundle);
      expect(await node('native-run.cjs', bundle)).toBe(`${USED}a stranger: forbidden\n`);
    },
  );

  test('[PKG-13] Vue 3 and 2, Pinia, MobX and Immer leave what they keep as it is', async () => {
    const report = JSON.parse(await node('vue.mjs'));
    const used = 'closed,false,false';
    expect(report).toEqual({
      ...Object.fromEntries(
        ['reactive', 'readonly', 'ref'].flatMap((name) => [
          [name, used],
          [`client, ${name}`, used],
          [`parts, ${name}`, 'false,false'],
        ]),
      ),
      template: '<p>offline 36</p>',
      'Vue 2, fields': false,
      Pinia: used,
      'Vue 2': used,
      MobX: used,
      Immer: used,
    });
  });

  test('[FRM-3] Svelte and Solid leave what they keep as it is', async () => {
    const report = JSON.parse(await node('--conditions=browser', 'stores.mjs'));
    const kept = 'true,true,true,true,true';
    expect(report).toEqual({ createStore: kept, createMutable: kept, $state: kept });
  });

  test.each(['docs/react-native.md', 'docs/vue.md'])(
    '[PKG-14] what %s says to write compiles',
    async (page) => {
      const place = mkdtempSync(join(project, 'snippets-'));
      const blocks = typeScriptOf(page);
      expect(blocks.length).toBeGreaterThan(0);
      const native = join(place, 'node_modules/react-native');
      mkdirSync(native, { recursive: true });
      writeFileSync(join(native, 'package.json'), JSON.stringify({ types: './index.d.ts' }));
      writeFileSync(join(native, 'index.d.ts'), NATIVE);
      await compile(place, blocks);
    },
  );
});

/** As much of React Native's types as the page uses: the package itself is for a whole application. */
const NATIVE = `export declare const AppState: {
  addEventListener(type: 'change', heard: (state: string) => void): { remove(): void };
};
`;
