/** A test as Jest finds it without any settings but those of its transformer. */
import { CowriteProvider } from '@cowrite/client';
import { CLOSE } from '@cowrite/client/protocol';
import { useDoc } from '@cowrite/client/react';
import * as Y from 'yjs';

test('the client works', () => {
  const doc = new Y.Doc();
  const url = 'ws://host/ws';
  const provider = new CowriteProvider({
    url,
    room: 'room',
    doc,
    connect: false,
    WebSocket: Object,
  });
  doc.getMap('page').set('title', new Y.Text('hello'));
  expect(provider.doc.getMap('page').get('title')).toBeInstanceOf(Y.Text);
  expect(CLOSE.deleted).toBe(4404);
  expect(typeof useDoc).toBe('function');
  provider.destroy();
});
