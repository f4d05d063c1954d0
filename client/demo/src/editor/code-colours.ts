/** What colours code: the languages, and Tiptap's plugin for them. */
import { CodeBlockLowlight } from '@tiptap/extension-code-block-lowlight';
import type { Plugin } from '@tiptap/pm/state';
import highlight from 'highlight.js/lib/core';
import { common, createLowlight } from 'lowlight';
import type { Language } from './code.js';
import { CodeReader } from './code-reader.js';
import '../styles/code.css';

/** Without what is no language of a whole block. */
const { plaintext: _, 'php-template': __, 'python-repl': ___, ...grammars } = common;

export const LANGUAGES: readonly Language[] = Object.entries(grammars)
  .map(([value, grammar]) => {
    const { name = value, aliases = [] } = grammar(highlight);
    return { value, label: name, aliases };
  })
  .sort((a, b) => a.label.localeCompare(b.label));

/** @param again draws all colours once more */
export function codeColours(block: string, again: () => void): Plugin {
  const lowlight = createLowlight(grammars);
  const plain = (text: string): Tree => ({ children: [{ type: 'text', value: text }] });
  const reader = new CodeReader<Tree>({
    isLanguage: (name) => lowlight.registered(name),
    read: (language, text) => lowlight.highlight(language, text),
    plain,
    now: () => performance.now(),
    later: (run) => setTimeout(run),
    again,
  });
  const careful = {
    // Every language is asked for below. The plugin's own look for one throws where it is no text.
    listLanguages: () => ({ includes: () => true }),
    // A guess would change while a block is being written.
    highlightAuto: plain,
    highlight: (language: unknown, text: string) => reader.read(language, text),
  };
  const context = { name: block, options: { lowlight: careful, defaultLanguage: null } };
  const plugins = CodeBlockLowlight.config.addProseMirrorPlugins?.call(context as never);
  const plugin = plugins?.at(-1);
  if (!plugin) throw new Error('the extension for code blocks brings no plugin');
  return plugin;
}

type Tree = Pick<ReturnType<ReturnType<typeof createLowlight>['highlight']>, 'children'>;
