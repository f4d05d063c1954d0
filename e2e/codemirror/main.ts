/** CodeMirror on a CowriteProvider, put together as y-codemirror.next says. */

import { EditorState } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { CowriteProvider } from '@cowrite/client';
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next';
import * as Y from 'yjs';

const doc = new Y.Doc();
const text = doc.getText('codemirror');
const query = new URLSearchParams(location.search);
const [name, tokens] = ['name', 'tokens'].map((key) => query.get(key));
const provider = new CowriteProvider({
  url: '/ws',
  room: 'code',
  doc,
  token: tokens ? async () => await (await fetch(tokens)).text() : '',
});
provider.awareness.setLocalStateField('user', { name, color: '#0a7a70' });
await provider.whenSynced();
new EditorView({
  parent: document.body,
  state: EditorState.create({
    doc: text.toString(),
    extensions: [keymap.of(yUndoManagerKeymap), yCollab(text, provider.awareness)],
  }),
});
