/** What applications of Vue, and of what keeps state in its way, do with what they are handed. */
import { createRequire } from 'node:module';
import { CowriteClient, CowriteProvider } from '@cowrite/client';
import { createServer } from '@cowrite/server';
import { produce } from 'immer';
import { observable } from 'mobx';
import { createPinia, defineStore, setActivePinia } from 'pinia';
import { createSSRApp, isProxy, reactive, readonly, ref } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

const Vue2 = createRequire(import.meta.url)('vue-2');
const server = await createServer({ port: 0, storage: 'memory:', logger: 'warn' });
const url = `${server.url.replace('http', 'ws')}/ws`;
const report = {};

/** Uses it as an application does, and ends it by what the state holds. */
async function use(name, kept) {
  const provider = kept();
  provider.on('status', () => undefined);
  provider.awareness.setLocalStateField('user', { name: 'ada' });
  provider.doc.getText('t').insert(0, name);
  provider.connect();
  await provider.whenSaved();
  provider.disconnect();
  provider.destroy();
  report[name] = [provider.status, isProxy(provider), isProxy(provider.doc)].join();
}

const open = (doc) =>
  new CowriteProvider({ url, room: `${Math.random()}`, WebSocket, connect: false, ...doc });

const states = { reactive, readonly, ref: (state) => ref(state).value };
for (const [name, wrap] of Object.entries(states)) {
  const state = wrap({ provider: open({ doc: new Y.Doc() }) });
  await use(name, () => state.provider);
  const client = new CowriteClient({ url, WebSocket });
  const shared = wrap({ client, handle: client.open(`client ${name}`) });
  await use(`client, ${name}`, () => shared.handle.provider);
  shared.handle.release();
  shared.client.destroy();
  const parts = open({});
  const { doc, awareness } = wrap({ doc: parts.doc, awareness: parts.awareness });
  report[`parts, ${name}`] = [isProxy(doc), isProxy(awareness)].join();
  parts.destroy();
}

setActivePinia(createPinia());
const store = defineStore('room', { state: () => ({ provider: open({}) }) })();
await use('Pinia', () => store.provider);

// As the examples of editors have it: made when the component is, shown by its template.
const provider = open({});
const app = createSSRApp({
  data: () => ({ provider: null }),
  created() {
    this.provider = provider;
  },
  template: '<p>{{ provider.status }} {{ provider.doc.guid.length }}</p>',
});
report.template = await renderToString(app);
provider.destroy();

const two = new Vue2({ data: { provider: open({}) } });
const own = Object.getOwnPropertyDescriptors(two.provider);
report['Vue 2, fields'] = Object.values(own).some(({ get }) => get !== undefined);
await use('Vue 2', () => two.provider);

const observed = observable({ provider: open({}) });
await use('MobX', () => observed.provider);
const frozen = produce({ provider: open({}) }, (draft) => {
  draft.isOpen = true;
});
await use('Immer', () => frozen.provider);

console.log(JSON.stringify(report));
await server.close();
