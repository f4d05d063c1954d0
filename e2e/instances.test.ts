/**
 * Two servers on one Redis and one Postgres, behind an nginx that sends each connection to either.
 */
import { request } from 'node:http';
import type { Limits } from '@cowrite/server';
import { describe, expect, test } from 'vitest';
import { startPostgres } from '../server/test/postgres-service.js';
import { startRedis } from '../server/test/redis-service.js';
import { eventually } from './eventually.js';
import { converged, Server, Tab } from './fixtures.js';
import { addressOf, Landings, Nginx } from './nginx.js';
import { Typist, twoWriters } from './typist.js';

/** Milliseconds after which a page drops people of whom it hears nothing, whatever the servers do. */
const AWARENESS_TIMEOUT = 30_000;

async function twoServers(
  limits?: Partial<Limits>,
): Promise<{ servers: [Server, Server]; nginx: Nginx }> {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  const environment = { REDIS_URL: redis.url, STORAGE_URL: postgres.url };
  const start = () =>
    limits === undefined
      ? Server.start(undefined, environment)
      : Server.startInstance(redis.url, postgres.url, limits);
  const servers = await Promise.all([start(), start()]);
  return { servers, nginx: await Nginx.before(...servers) };
}

/** Two writers, each at a server of their own. */
async function apart(servers: readonly Server[], nginx: Nginx) {
  const [adaAt, graceAt] = [new Landings(), new Landings()];
  const [ada, grace] = await twoWriters(nginx, {
    ada: (page) => adaAt.watch(page),
    grace: (page) => graceAt.watch(page),
  });
  // nginx counts requests for files as well, so the second one may have landed where the first is.
  while (graceAt.last === adaAt.last) {
    graceAt.all.length = 0;
    await grace.page.reload();
    await grace.editor.waitFor();
    await grace.moveTo('end');
  }
  expect([adaAt.all, graceAt.all].flat().sort()).toEqual(servers.map(addressOf).sort());
  await eventually(() => grace.carets()).toEqual({ Ada: 'Ada:' });
  const serverOf = (landings: Landings) =>
    servers.find((server) => addressOf(server) === landings.last)!;
  return { ada, grace, adaAt, graceAt, serverOf };
}

describe('two servers', () => {
  test('[DEP-4] nginx answers to its own names only, so that no foreign page can make its name lead there', async () => {
    const { nginx } = await twoServers();
    const statusFor = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const asked = request(`${nginx.url}/health`, { headers: { Host: host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.on('error', reject).end();
      });
    expect(await statusFor(new URL(nginx.url).host)).toBe(200);
    expect(await statusFor('evil.example')).toBe(421);
  });

  test('[DEP-1] two tabs at different ones write together and see each other’s carets and names', async () => {
    const { servers, nginx } = await twoServers();
    const { ada, grace } = await apart(servers, nginx);
    await eventually(() => ada.people()).toEqual(['Ada', 'Grace']);
    await eventually(() => grace.people()).toEqual(['Grace', 'Ada']);

    const ours = Array.from({ length: 8 }, (_, index) => `ada${index}`);
    const theirs = Array.from({ length: 8 }, (_, index) => `grace${index}`);
    await Promise.all([
      ada.page.keyboard.type(` ${ours.join(' ')}`),
      grace.page.keyboard.type(` ${theirs.join(' ')}`),
    ]);
    const all = ['Ada:', ...ours, 'Grace:', ...theirs];
    for (const tab of [ada, grace]) {
      await eventually(() => tab.words()).toEqual(all);
      await tab.status.getByText('Saved', { exact: true }).waitFor();
    }
    await converged(ada, grace);
    await eventually(() => ada.carets()).toEqual({ Grace: `Grace: ${theirs.join(' ')}` });
    await eventually(() => grace.carets()).toEqual({ Ada: `Ada: ${ours.join(' ')}` });

    await ada.moveTo('start');
    await eventually(() => grace.carets()).toEqual({ Ada: '' });
    await ada.page.close();
    await eventually(() => grace.people()).toEqual(['Grace']);
    await eventually(() => grace.carets()).toEqual({});
  });

  test('[DEP-2] one after the other is killed while two tabs type: they go on at the one that is left, and every word is there once', async () => {
    const { servers, nginx } = await twoServers();
    const { ada, grace, adaAt, graceAt, serverOf } = await apart(servers, nginx);
    const [first, second] = [serverOf(adaAt), serverOf(graceAt)];
    const typists = [new Typist(ada), new Typist(grace)];
    await eventually(() => grace.words()).toContain('Ada3');
    await eventually(() => ada.words()).toContain('Grace3');

    await first.kill();
    await eventually(() => adaAt.all).toEqual([first, second].map(addressOf));
    await Promise.all(typists.map((typist) => typist.goOn(5)));
    expect(graceAt.all).toEqual([addressOf(second)]);
    const ruthAt = new Landings();
    const ruth = await Tab.open(nginx, { name: 'Ruth', prepare: (page) => ruthAt.watch(page) });
    expect(ruthAt.all).toEqual([addressOf(second)]);

    await first.start();
    await eventually(() => nginx.serverOfNow()).toBe(addressOf(first));
    await second.kill();
    for (const landings of [adaAt, graceAt, ruthAt]) {
      await eventually(() => landings.last).toBe(addressOf(first));
    }
    await Promise.all(typists.map((typist) => typist.goOn(5)));
    await Promise.all(typists.map((typist) => typist.stop()));

    const [ours, theirs] = typists.map(({ words }) => words);
    const all = ['Ada:', ...(ours ?? []), 'Grace:', ...(theirs ?? [])];
    for (const tab of [ada, grace, ruth]) {
      await eventually(() => tab.words()).toEqual(all);
      await tab.status.getByText('Saved', { exact: true }).waitFor();
    }
    await converged(ada, grace, ruth);
    await eventually(async () => (await ruth.people()).sort()).toEqual(['Ada', 'Grace', 'Ruth']);
    const edith = await Tab.open(nginx, { name: 'Edith' });
    expect(await edith.words()).toEqual(all);
  });

  test('[DEP-3] one is killed together with its tab: the caret leaves the other tab within the time to live', async () => {
    // A fifth of what it is without a setting; the page's own time is ten times as long.
    const { servers, nginx } = await twoServers({ presenceTtlMs: 3_000 });
    const { ada, grace, adaAt, graceAt, serverOf } = await apart(servers, nginx);
    await eventually(() => grace.people()).toEqual(['Grace', 'Ada']);

    // Frozen first, so that it cannot hear its tab go and say so.
    serverOf(adaAt).freeze();
    const crashed = ada.page.waitForEvent('crash');
    await expect(ada.page.goto('chrome://crash')).rejects.toThrow();
    await crashed;
    await serverOf(adaAt).kill();
    expect(await grace.carets()).toEqual({ Ada: 'Ada:' });

    const leaves = { timeout: AWARENESS_TIMEOUT - 5_000, interval: 100 };
    await expect.poll(() => grace.carets(), leaves).toEqual({});
    await eventually(() => grace.people()).toEqual(['Grace']);
    expect(graceAt.all).toHaveLength(1);
    await grace.write(' goes on');
    await grace.status.getByText('Saved', { exact: true }).waitFor();
  });
});
