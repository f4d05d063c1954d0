/** CodeMirror on a CowriteProvider, put together as y-codemirror.next says. */

import { EditorState } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { CowriteProvider } from '@cowrite/client';
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next';
import * as Y from 'yjs';

const doc = new Y.Doc();
const text = doc.getText('codemirror');
const provider = new CowriteProvider({ url: '/ws', room: 'code', doc });
const name = new URLSearchParams(location.search).get('name');
provider.awareness.setLocalStateField('user', { name, color: '#0a7a70' });
await provider.whenSynced();
new EditorView({
  parent: document.body,
  state: EditorState.create({
    doc: text.toString(),
    extensions: [keymap.of(yUndoManagerKeymap), yCollab(text, provider.awareness)],
  }),
});
