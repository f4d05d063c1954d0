/** The API reference, made as `npm run docs` makes it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };

const CLIENT = fileURLToPath(new URL('..', import.meta.url));
const DOCS = fileURLToPath(new URL('../../docs', import.meta.url));

interface Reflection {
  readonly name: string;
  /** A module is a `declaration`, a page beside them a `document`. */
  readonly variant: string;
  readonly children?: readonly Reflection[];
}

test('[DOC-1] the API reference is made without a warning and names every export', async () => {
  const out = mkdtempSync(join(tmpdir(), 'cowrite-docs-'));
  onTestFinished(() => rmSync(out, { recursive: true, force: true }));
  const json = join(out, 'api.json');
  const typedoc = join(DOCS, 'node_modules/typedoc/bin/typedoc');
  const args = [typedoc, '--out', join(out, 'api'), '--json', json, '--logLevel', 'Warn'];
  // Ends with an error, and the warnings in its message, if there is one.
  await promisify(execFile)(process.execPath, args, { cwd: DOCS });

  expect(readdirSync(join(out, 'api'))).toContain('index.html');
  const project = JSON.parse(readFileSync(json, 'utf8')) as Reflection;
  const named = Object.fromEntries(
    (project.children ?? [])
      .filter(({ variant }) => variant === 'declaration')
      .map(({ name, children = [] }) => [name, namesOf(children)]),
  );
  expect(named).toEqual(exportsOfThePackage());
});

/** What can be imported from each of the package's entries, as the compiler sees it. */
function exportsOfThePackage(): Record<string, readonly string[]> {
  // TypeScript 7 has no API; TypeDoc's has.
  const ts = createRequire(join(DOCS, 'package.json'))('typescript');
  const files = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'object' ? [join(CLIENT, entry.import.types)] : [],
  );
  const program = ts.createProgram(files, { module: ts.ModuleKind.NodeNext, skipLibCheck: true });
  const checker = program.getTypeChecker();
  return Object.fromEntries(
    files.map((file) => {
      const entry = checker.getSymbolAtLocation(program.getSourceFile(file));
      const name = /dist\/([\w-]+?)(\/index)?\.d\.ts$/.exec(file)?.[1];
      return [name, namesOf(checker.getExportsOfModule(entry))];
    }),
  );
}

const namesOf = (named: readonly { readonly name: string }[]) =>
  named.map(({ name }) => name).sort();
