/** What colours code: the languages, and Tiptap's plugin for them. */
import { CodeBlockLowlight } from '@tiptap/extension-code-block-lowlight';
import type { Plugin } from '@tiptap/pm/state';
import highlight from 'highlight.js/lib/core';
import { common, createLowlight } from 'lowlight';
import type { Language } from './code.js';
import '../styles/code.css';

/**
 * Letters of one block. With each key in it the whole block is read again, and anybody may have
 * written a block that takes long.
 */
const LONGEST = 20_000;
/** Blocks whose colours are kept: with each key in one of them, the plugin asks for those of all. */
const KEPT = 300;

/** Without what is no language of a whole block. */
const { plaintext: _, 'php-template': __, 'python-repl': ___, ...grammars } = common;

export const LANGUAGES: readonly Language[] = Object.entries(grammars)
  .map(([value, grammar]) => {
    const { name = value, aliases = [] } = grammar(highlight);
    return { value, label: name, aliases };
  })
  .sort((a, b) => a.label.localeCompare(b.label));

export function codeColours(block: string): Plugin {
  const lowlight = createLowlight(grammars);
  const kept = new Map<string, Tree>();
  const plain = (text: string): Tree => ({ children: [{ type: 'text', value: text }] });
  const careful = {
    listLanguages: () => lowlight.listLanguages(),
    registered: (name: string) => lowlight.registered(name),
    // A guess would change while a block is being written.
    highlightAuto: plain,
    highlight(language: string, text: string): Tree {
      if (text.length > LONGEST || !lowlight.registered(language)) return plain(text);
      const key = `${language}\n${text}`;
      const tree = kept.get(key) ?? lowlight.highlight(language, text);
      kept.delete(key);
      kept.set(key, tree);
      for (const oldest of kept.keys()) {
        if (kept.size <= KEPT) break;
        kept.delete(oldest);
      }
      return tree;
    },
  };
  const context = { name: block, options: { lowlight: careful, defaultLanguage: null } };
  const plugins = CodeBlockLowlight.config.addProseMirrorPlugins?.call(context as never);
  const plugin = plugins?.at(-1);
  if (!plugin) throw new Error('the extension for code blocks brings no plugin');
  return plugin;
}

type Tree = Pick<ReturnType<ReturnType<typeof createLowlight>['highlight']>, 'children'>;
