/** The project with the editors of docs/editors.md: the page's own code, type-checked and built with Vite. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { type CodeBlock, codeBlocks } from './markdown.js';
import { CLIENT, install, pack, ROOT, run } from './packed.js';

export const PAGE = 'docs/editors.md';

/** The bindings and their editors, each at the version that the page names. */
export const VERSIONS = {
  '@blocknote/core': '0.55.0',
  '@lexical/react': '0.52.0',
  '@lexical/yjs': '0.52.0',
  '@slate-yjs/core': '1.0.2',
  '@slate-yjs/react': '1.1.0',
  lexical: '0.52.0',
  'monaco-editor': '0.57.0',
  'prosemirror-view': '1.44.0',
  quill: '2.0.3',
  'quill-cursors': '4.3.0',
  slate: '0.146.0',
  'y-monaco': '0.1.6',
  'y-prosemirror': '1.3.7',
  'y-quill': '1.0.0',
};

/** What they need beside that. */
export const PEERS = {
  '@lexical/rich-text': '0.52.0',
  '@types/react': '19.3.3',
  '@types/react-dom': '19.3.0',
  'prosemirror-commands': '1.7.2',
  'prosemirror-keymap': '1.2.3',
  'prosemirror-model': '1.25.13',
  'prosemirror-schema-basic': '1.2.5',
  'prosemirror-state': '1.4.4',
  react: '19.3.1',
  'react-dom': '19.3.1',
  'slate-dom': '0.146.1',
  'slate-react': '0.146.1',
  'y-protocols': '1.0.7',
  yjs: '13.6.33',
};

/** The headings of the page whose code is a whole page, in lower case the names of the built ones. */
export const HEADINGS = ['ProseMirror', 'BlockNote', 'Quill', 'Monaco', 'Slate', 'Lexical'];

export class EditorsProject {
  readonly #folder = mkdtempSync(join(tmpdir(), 'cowrite-editors-'));
  readonly #project = join(this.#folder, 'project');
  /** Where the built pages are. */
  readonly built = join(this.#folder, 'built');

  async install(): Promise<void> {
    mkdirSync(join(this.#project, 'src'), { recursive: true });
    // BlockNote names packages of Yjs 14 as optional peers, which not every mirror has.
    writeFileSync(join(this.#project, '.npmrc'), 'legacy-peer-deps=true\n');
    const packed = await pack(this.#folder);
    await install(this.#project, new Map([[CLIENT, packed.get(CLIENT)!]]), {
      ...VERSIONS,
      ...PEERS,
    });
    for (const heading of HEADINGS) this.#write(heading);
    this.#source('room.ts', codeOf('The room')[0]!.text);
    this.#source('vite.d.ts', VITE);
    const [config] = codeBlocks(PAGE, '## Monaco').filter(({ language }) => language === 'js');
    writeFileSync(join(this.#project, 'vite.config.js'), config!.text);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Rejects with what the compiler says. */
  async check(): Promise<void> {
    const options = JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ['src'] });
    writeFileSync(join(this.#project, 'tsconfig.json'), options);
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    await run(process.execPath, [compiler, '-p', this.#project]).catch(({ stdout }) => {
      throw new Error(stdout);
    });
  }

  /** From then on the pages take the name of their user, and their token, from the address, and show their provider. */
  async build(): Promise<void> {
    for (const file of ['room.ts', 'lexical.tsx']) {
      const path = join(this.#project, 'src', file);
      const query = (name: string) => `new URLSearchParams(location.search).get('${name}') ?? ''`;
      const text = readFileSync(path, 'utf8')
        .replace("'Ada'", query('name'))
        .replace("room: 'my-document'", `$&, token: ${query('token')}`);
      writeFileSync(path, `${text}Object.assign(globalThis, { provider });\n`);
    }
    const pages = HEADINGS.map((heading) => heading.toLowerCase());
    await build({
      root: this.#project,
      configFile: join(this.#project, 'vite.config.js'),
      logLevel: 'error',
      build: {
        outDir: this.built,
        minify: false,
        target: 'es2022',
        chunkSizeWarningLimit: 16_384,
        rolldownOptions: {
          input: Object.fromEntries(
            pages.map((page) => [page, join(this.#project, `${page}.html`)]),
          ),
        },
      },
    });
  }

  #write(heading: string): void {
    const name = heading.toLowerCase();
    const blocks = codeOf(heading);
    const page = blocks.at(-1)!;
    this.#source(`${name}.${page.language}`, page.text);
    if (name === 'lexical') this.#source('for-lexical.ts', blocks[0]!.text);
    const script = `<script type="module" src="./src/${name}.${page.language}"></script>`;
    writeFileSync(
      join(this.#project, `${name}.html`),
      `<!doctype html><html lang="en"><title>${heading}</title><link rel="icon" href="data:,">${script}<div id="editor"></div></html>`,
    );
  }

  #source(name: string, text: string): void {
    writeFileSync(join(this.#project, 'src', name), `${text}\n`);
  }
}

/** The TypeScript that stands under a heading. */
function codeOf(heading: string): readonly CodeBlock[] {
  return codeBlocks(PAGE, `## ${heading}`).filter(({ language }) => /^tsx?$/.test(language));
}

/** As `vite/client` has it. */
const VITE = `declare module '*.css';
declare module '*?worker' {
  const Made: new () => Worker;
  export default Made;
}`;

/** Those of Vite's own templates. */
const COMPILER_OPTIONS = {
  target: 'ES2022',
  module: 'ESNext',
  moduleResolution: 'Bundler',
  lib: ['ES2023', 'DOM', 'DOM.Iterable'],
  jsx: 'react-jsx',
  types: [],
  strict: true,
  noEmit: true,
  skipLibCheck: true,
};
