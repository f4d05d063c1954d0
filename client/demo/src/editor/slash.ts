/** A slash at the start of a line or a word offers what can be inserted. The menu comes with the first one. */
import { Extension } from '@tiptap/core';
import { Plugin, PluginKey } from '@tiptap/pm/state';
import type { Suggestion } from '@tiptap/suggestion';
import { latePlugin } from './late-plugin.js';
import { lazily } from './lazy.js';
import type { Notice } from './notice.js';

export const SLASH = '/';

export type SlashState = ReturnType<typeof Suggestion> extends Plugin<infer S> ? S : never;

const CLOSED: SlashState = {
  active: false,
  range: { from: 0, to: 0 },
  query: null,
  text: null,
  composing: false,
  dismissedRange: null,
};

export function slash(notice: Notice, onImage: () => void): Extension {
  return Extension.create({
    name: 'slash',
    // What the open menu does with a key comes before what the text does with it.
    priority: 1_000,
    addProseMirrorPlugins() {
      const { editor } = this;
      const key = new PluginKey<SlashState>('slash');
      const late = latePlugin(key, CLOSED);
      const load = lazily('The menu of what can be inserted', notice, async () => {
        const { slashMenu } = await import('./slash-menu.js');
        late.arrive(editor, slashMenu(editor, key, onImage));
      });
      const trigger = new Plugin({
        props: {
          handleTextInput(view, _from, _to, text) {
            const isCode = view.state.selection.$from.parent.type.spec.code;
            if (text.endsWith(SLASH) && !isCode) void load();
            return false;
          },
        },
      });
      return [late.place, trigger];
    },
  });
}
