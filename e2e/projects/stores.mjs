/** What Svelte's and Solid's state, as a browser has it, makes of what it keeps. */
import { writeFileSync } from 'node:fs';
import { CowriteClient, CowriteProvider } from '@cowrite/client';
import { createMutable, createStore } from 'solid-js/store';
import { compileModule } from 'svelte/compiler';

// Nothing connects. Node has none before version 22.
const options = { url: 'ws://127.0.0.1/ws', WebSocket: class {} };
const provider = new CowriteProvider({ ...options, room: 'stores', connect: false });
const client = new CowriteClient(options);
const plain = { of: 'no class' };
const report = {};

/** That a plain object becomes another one shows that the state does wrap what it can. */
function look(name, kept) {
  report[name] = [
    kept.provider === provider,
    kept.provider.doc === provider.doc,
    kept.provider.awareness === provider.awareness,
    kept.client === client,
    kept.plain !== plain,
  ].join();
}

look('createStore', createStore({ provider, client, plain })[0]);
look('createMutable', createMutable({ provider, client, plain }));

const { js } = compileModule('export const state = $state({});', { generate: 'client' });
const module = new URL('stores-svelte.mjs', import.meta.url);
writeFileSync(module, js.code);
const { state } = await import(module.href);
look('$state', Object.assign(state, { provider, client, plain }));

provider.destroy();
console.log(JSON.stringify(report));
