/**
 * A place for a plugin whose code comes later. ProseMirror takes all plugins down and sets them up
 * once more when another is added: the binding would draw the whole document again, the caret would
 * be gone from others' pages, and what is being composed would be lost. So the place is there from
 * the start, and hands everything on to the plugin once that has arrived.
 */
import type { Editor } from '@tiptap/core';
import { type EditorState, Plugin, type PluginKey, type PluginView } from '@tiptap/pm/state';
import type { DecorationSet } from '@tiptap/pm/view';

export interface LatePlugin<S> {
  readonly place: Plugin<S>;
  /** @param decorations those of the plugin's state, where its own would look under another key */
  arrive(editor: Editor, plugin: Plugin, decorations?: (state: S) => DecorationSet): void;
  /** Has the plugin begin with the document as it is now. */
  begin(editor: Editor): void;
}

/** @param before the plugin's state until it is there */
export function latePlugin<S>(key: PluginKey<S>, before: S): LatePlugin<S> {
  let inner: Plugin<S> | undefined;
  let innerView: PluginView | undefined;
  let decorationsOf: ((state: S) => DecorationSet) | undefined;
  const stateOf = (state: EditorState) => key.getState(state) ?? before;
  const place = new Plugin<S>({
    key,
    state: {
      init: () => before,
      apply(transaction, value, from, to) {
        const state = inner?.spec.state;
        if (!inner || !state) return value;
        const begun = transaction.getMeta(key) === BEGIN ? state.init.call(inner, {}, to) : value;
        return state.apply.call(inner, transaction, begun, from, to);
      },
    },
    props: {
      handleKeyDown(view, event) {
        if (!inner) return false;
        return inner.props.handleKeyDown?.call(inner, view, event) ?? false;
      },
      decorations(state) {
        if (decorationsOf) return decorationsOf(stateOf(state));
        return inner?.props.decorations?.call(inner, state);
      },
    },
    view: () => ({
      update: (view, from) => innerView?.update?.(view, from),
      destroy: () => innerView?.destroy?.(),
    }),
  });
  const begin = (editor: Editor) => {
    if (!editor.isDestroyed) editor.view.dispatch(editor.state.tr.setMeta(key, BEGIN));
  };
  return {
    place,
    begin,
    arrive(editor, plugin, decorations) {
      inner = plugin;
      decorationsOf = decorations;
      innerView = plugin.spec.view?.(editor.view);
      begin(editor);
    },
  };
}

const BEGIN = 'begin';
