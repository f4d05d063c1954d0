/** The clients that people use, with what can be seen in them. */
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket-client';
import * as Y from 'yjs';

/** @param name of the server; @returns once it is connected, and has synced where the server can */
export async function connectReal(name, url, room) {
  const doc = new Y.Doc();
  const text = doc.getText('t');
  const { provider, destroy } = name === 'hocuspocus' ? hocuspocus() : yWebsocket();
  function hocuspocus() {
    const socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket });
    const provider = new HocuspocusProvider({
      websocketProvider: socket,
      name: room,
      document: doc,
    });
    provider.attach();
    return {
      provider,
      destroy: () => {
        provider.destroy();
        socket.destroy();
      },
    };
  }
  function yWebsocket() {
    const provider = new WebsocketProvider(url, room, doc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true,
    });
    return { provider, destroy: () => provider.destroy() };
  }
  await new Promise((resolve) => {
    // A bare broadcast never answers.
    if (name === 'ws') provider.on('status', ({ status }) => status === 'connected' && resolve());
    else provider.on(name === 'hocuspocus' ? 'synced' : 'sync', resolve);
  });
  return {
    type: (words) => text.insert(text.length, words),
    text: () => text.toString(),
    textOf: (client) =>
      (doc.store.clients.get(client) ?? []).map(({ content }) => content.str ?? '').join(''),
    clockOf: (client) => provider.awareness.meta.get(client)?.clock,
    hasPending: () => doc.store.pendingStructs !== null || doc.store.pendingDs !== null,
    destroy: () => {
      destroy();
      doc.destroy();
    },
  };
}
