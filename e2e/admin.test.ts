/** The administrator's page, and the page about the HTTP API. */
import type { ConsoleMessage, Locator, Page } from 'playwright';
import { describe, expect, onTestFinished, test } from 'vitest';
import * as Y from 'yjs';
import { LmdbStorage } from '../server/src/storage/lmdb.js';
import { cowrite } from '../server/test/command-line.js';
import { typedByTurns } from '../server/test/large.js';
import { startRedis } from '../server/test/redis-service.js';
import { eventually, openBrowser, Server, Tab, temporaryFolder } from './fixtures.js';

const ADMIN_TOKEN = 'the-token-of-the-administrator,-long-enough';
const AUTH_SECRET = 'a secret of more than thirty-two bytes';

async function governed(environment: Readonly<Record<string, string>> = {}): Promise<Server> {
  const STORAGE_URL = `lmdb:${temporaryFolder()}`;
  return await Server.start(undefined, { STORAGE_URL, ADMIN_TOKEN, ...environment });
}

/** A page that may complain of nothing, not of its Content-Security-Policy either. */
async function quietPage(
  options: Parameters<typeof openBrowser>[0] = {},
  expected = /\b401\b/,
): Promise<Page> {
  const browser = await openBrowser({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await browser.newPage();
  const said: string[] = [];
  page.on('console', (message: ConsoleMessage) => said.push(message.text()));
  onTestFinished(() => expect(said.filter((text) => !expected.test(text))).toEqual([]));
  return page;
}

async function signIn(page: Page, server: Server, shown = ADMIN_TOKEN): Promise<void> {
  await page.goto(`${server.url}/admin`);
  await page.getByLabel('Token').fill(shown);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
}

/** What a browser keeps of a click: the file's name and what is in it. */
async function downloaded(page: Page, button: Locator): Promise<[name: string, bytes: Buffer]> {
  const downloading = page.waitForEvent('download');
  await button.click();
  const download = await downloading;
  const parts: Buffer[] = await (await download.createReadStream()).toArray();
  return [download.suggestedFilename(), Buffer.concat(parts)];
}

/** How high the points of a drawn line lie, the oldest first; nothing where none can be seen. */
async function heights(tile: Locator): Promise<number[]> {
  return await tile.evaluate((element) => {
    const line = element.querySelector('.sparkline-line');
    const { width = 0, height = 0 } = line?.getBoundingClientRect() ?? {};
    if (line === null || width === 0 || height === 0) return [];
    if (getComputedStyle(line).stroke === 'none') return [];
    const d = line.getAttribute('d') ?? '';
    return [...d.matchAll(/[ML]\S+ (\S+)/g)].map(([, y]) => -Number(y));
  });
}

/** How the tiles read, by what they are called. */
async function figuresOn(page: Page): Promise<Record<string, string>> {
  const texts = await page
    .locator('.tile')
    .evaluateAll((tiles) =>
      tiles.map((tile) => [...tile.children].slice(0, 2).map((part) => part.textContent ?? '')),
    );
  return Object.fromEntries(texts);
}

async function widths(page: Page): Promise<[page: number, window: number]> {
  return await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
}

describe('administration', () => {
  test('[ADMIN-1] asks for the token, keeps it in the tab and out of every address, and forgets it', async () => {
    const server = await governed();
    const page = await quietPage();
    const addresses: string[] = [];
    page.on('request', (request) => addresses.push(request.url()));
    await signIn(page, server, 'not-this-one');
    await page.getByRole('alert').getByText('This is not the server’s ADMIN_TOKEN.').waitFor();
    await signIn(page, server);
    await page.getByRole('region', { name: 'This server' }).getByText('Connections').waitFor();
    await page.reload();
    await page.getByRole('region', { name: 'Rooms' }).waitFor();
    expect(addresses.filter((url) => url.includes(ADMIN_TOKEN))).toEqual([]);
    const kept = await page.evaluate(() => [
      Object.values(sessionStorage).length,
      Object.values(localStorage).length,
    ]);
    expect(kept).toEqual([1, 0]);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').waitFor();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);

    const response = await page.goto(`${server.url}/admin`);
    const policy = response?.headers()['content-security-policy'];
    expect(policy).toMatch(/default-src 'none'/);
    expect(policy).not.toMatch(/unsafe|https?:/);
    const closed = await Server.start();
    const without = await fetch(`${closed.url}/admin`);
    expect(await without.text()).not.toContain('administration');
  });

  test('[ADMIN-2] shows who is where as it changes, and looks into a room', async () => {
    const server = await governed();
    const page = await quietPage();
    await signIn(page, server);
    const rooms = page.getByRole('region', { name: 'Rooms' });
    await rooms.getByText('Nobody has a document open at this server.').waitFor();
    const tile = page.getByRole('region', { name: 'This server' }).locator('.tile').first();
    await eventually(() => tile.textContent()).toBe('Connections0');
    const ada = await Tab.open(server, { name: 'Ada', room: 'minutes' });
    await ada.write('as agreed');
    await rooms.getByRole('link', { name: 'minutes' }).click();
    const room = page.getByRole('region', { name: 'Room minutes' });
    await room.getByText('open here').waitFor();
    await room.getByText('1 person').waitFor();
    const grace = await Tab.open(server, { name: 'Grace', room: 'minutes' });
    await room.getByText('Grace').waitFor();
    await eventually(() => tile.textContent()).toBe('Connections2');
    // All of them: one whose metric has another name at the server would not be there.
    await eventually(() => page.locator('.tile').count()).toBe(10);
    // From nobody to two.
    const line = await heights(tile);
    expect(line.length).toBeGreaterThan(1);
    expect(line.at(-1)).toBeGreaterThan(line[0]!);
    await grace.page.close();
    await room.getByText('1 person').waitFor();

    const snapshot = room.locator('.fact').filter({ hasText: /^Snapshot/ });
    expect(await snapshot.textContent()).toBe('Snapshotnone');
    await room.getByRole('button', { name: 'Compact now' }).click();
    await room.getByText('The snapshot holds all of the log.').waitFor();
    await room.getByText('Not yet in the snapshotnothing').waitFor();
    await snapshot.getByText(/^(now|\d+ seconds? ago)$/).waitFor();
    const file = async (name: string) => await downloaded(page, room.getByRole('button', { name }));
    const [textName, text] = await file('Plain text');
    expect([textName, text.toString()]).toEqual(['minutes.txt', 'as agreed']);
    const [updateName, update] = await file('Yjs update');
    const doc = new Y.Doc();
    Y.applyUpdate(doc, update);
    const content = doc.getXmlFragment('default').toString();
    expect([updateName, content]).toEqual(['minutes.yjs', expect.stringContaining('as agreed')]);
    const [jsonName, json] = await file('JSON');
    expect(jsonName).toBe('minutes.json');
    expect(JSON.stringify(JSON.parse(json.toString()))).toContain('as agreed');

    // All that the store has, also what nobody has open.
    await page.getByRole('button', { name: 'All rooms' }).click();
    await page.getByLabel('Name begins with').fill('no');
    await rooms.getByText('No room’s name begins like this.').waitFor();
    await page.getByLabel('Name begins with').fill('min');
    await rooms.getByRole('link', { name: 'minutes' }).waitFor();
  });

  test('[ADMIN-2] each figure is the one that it says, and those that are bad stand out', async () => {
    const server = await governed();
    const page = await quietPage();
    let looks = 0;
    // Means, rates and counts that no two figures could share.
    await page.route('**/metrics', (route) => {
      looks++;
      const histogram = (name: string, seconds: number) => [
        `cowrite_${name}_seconds_sum ${looks * seconds}`,
        `cowrite_${name}_seconds_count ${looks}`,
      ];
      const body = [
        '# HELP cowrite_connections Open WebSocket connections.',
        'cowrite_connections 1234',
        'cowrite_rooms{state="open"} 11',
        'cowrite_rooms{state="loading"} 2',
        `cowrite_messages_total{direction="received",kind="update"} ${looks * 1e6}`,
        `cowrite_messages_total{direction="received",kind="awareness"} 3`,
        `cowrite_messages_total{direction="sent",kind="update"} 4`,
        ...histogram('append', 0.021),
        ...histogram('commit', 0.022),
        ...histogram('delivery_lag', 0.31),
        ...histogram('loop_delay', 0.041),
        'cowrite_slow_readers 5',
        'cowrite_quarantined_rooms 1',
        'cowrite_quarantined_entries_total 6',
        'cowrite_unsaved_updates 7',
        'cowrite_unsaved_bytes 8',
        'cowrite_unsaved_oldest_seconds 0.5',
        'cowrite_limits_reached_total{limit="api-requests"} 9',
      ];
      return route.fulfill({ contentType: 'text/plain', body: `${body.join('\n')}\n` });
    });
    await signIn(page, server);
    await eventually(() => figuresOn(page)).toEqual({
      Connections: '1,234',
      'Open rooms': '13',
      'Edits in': expect.stringMatching(/^(?!0)[\d,]+\/s$/),
      'Time to disk': '21 ms',
      'Delivery lag': '310 ms',
      'Loop lag': '41 ms',
      'Slow readers': '5',
      'Set aside': '6',
      Unsaved: '7',
      'Limits reached': '0/s',
    });
    const bad = await page.locator('.tile.bad .tile-label').allTextContents();
    expect(bad).toEqual(['Delivery lag', 'Slow readers', 'Set aside']);
  });

  test('[ADMIN-2] what was set aside is among the figures, and in its room', async () => {
    const folder = temporaryFolder();
    const store = await LmdbStorage.open(folder);
    const entries = [{ update: Uint8Array.of(255), author: 'nobody' }];
    await store.append({ number: 1, appends: [{ room: 'minutes', entries }] });
    await store.close();
    const server = await governed({ STORAGE_URL: `lmdb:${folder}` });
    const page = await quietPage();
    await signIn(page, server);
    await eventually(() => figuresOn(page)).toMatchObject({ 'Set aside': '0' });
    const ada = await Tab.open(server, { name: 'Ada', room: 'minutes' });
    await ada.write('as agreed');
    await eventually(() => figuresOn(page)).toMatchObject({ 'Set aside': '1' });
    await page.getByRole('link', { name: 'minutes' }).click();
    const room = page.getByRole('region', { name: 'Room minutes' });
    await room.getByRole('button', { name: 'Compact now' }).click();
    await room.getByText('Set aside1 entry').waitFor();
  });

  test('[CMP-17] a document that is too large to merge is told above the figures, and in its room', async () => {
    const server = await governed({ WORKER_MEMORY_MB: '64' });
    const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
    const body = typedByTurns({ items: 80_000 }) as Uint8Array<ArrayBuffer>;
    await fetch(`${server.url}/api/rooms/large`, { method: 'POST', headers, body });
    const page = await quietPage();
    await signIn(page, server);
    await page.getByText('Documents need more memory to merge than this server has').waitFor();
    await page.getByText(': 1 room. The log names them').waitFor();
    await page.getByRole('link', { name: 'large' }).click();
    const room = page.getByRole('region', { name: 'Room large' });
    await room.getByText(/^Mergingtoo largeit needs about .+ of memory/).waitFor();
  });

  test('[ADMIN-3] shows one person out, and nobody else', async () => {
    const server = await governed({ AUTH_SECRET });
    const [ada, bob] = await Promise.all(
      ['Ada', 'Bob'].map(async (name) => {
        const who = ['--user', name.toLowerCase(), '--name', name, '--room', 'minutes'];
        const { out } = await cowrite(['token', ...who], { environment: { AUTH_SECRET } });
        return await Tab.open(server, { token: out.trim() });
      }),
    );
    const page = await quietPage();
    await signIn(page, server);
    await page.getByRole('link', { name: 'minutes' }).click();
    const room = page.getByRole('region', { name: 'Room minutes' });
    await room.getByText('2 people').waitFor();
    await room.getByRole('button', { name: 'Show out Bob' }).click();
    await page.getByRole('dialog').getByText('Show Bob out?').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    expect(await bob!.editor.getAttribute('contenteditable')).toBe('true');
    await room.getByRole('button', { name: 'Show out Bob' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Show out' }).click();
    await room.getByText('1 socket at this server closed.').waitFor();
    await bob!.page.getByTestId('closed-banner').waitFor();
    await room.getByText('1 person').waitFor();
    await room.getByRole('button', { name: 'Show out Ada' }).waitFor();
    await ada!.write('alone');
    await ada!.status.getByText('Saved', { exact: true }).waitFor();
    expect(await ada!.page.getByTestId('closed-banner').isVisible()).toBe(false);
  });

  test('[ADMIN-3] shows people out and deletes a room, once that is confirmed', async () => {
    const server = await governed();
    const ada = await Tab.open(server, { name: 'Ada', room: 'minutes' });
    await ada.write('secret');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    const page = await quietPage();
    await signIn(page, server);
    await page.getByRole('link', { name: 'minutes' }).click();
    const room = page.getByRole('region', { name: 'Room minutes' });
    await room.getByRole('button', { name: 'Show everybody out' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    expect(await ada.editor.getAttribute('contenteditable')).toBe('true');
    await room.getByRole('button', { name: 'Show everybody out' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Show out' }).click();
    await room.getByText('1 socket at this server closed.').waitFor();
    await ada.page.getByTestId('closed-banner').waitFor();

    await room.getByRole('button', { name: 'Delete…' }).click();
    const dialog = page.getByRole('dialog');
    const sure = dialog.getByRole('button', { name: 'Delete' });
    expect(await sure.isDisabled()).toBe(true);
    await dialog.getByLabel('To confirm, type minutes').fill('minutes');
    await sure.click();
    await room.locator('.chip').getByText('deleted').waitFor();
    for (const fact of ['Log', 'Not yet in the snapshot', 'Snapshot']) {
      await room.getByText(`${fact}–deleted`, { exact: true }).waitFor();
    }
    await room.getByRole('button', { name: 'Make the name usable again' }).click();
    await room.getByText('The name can be used again; the room is empty.').waitFor();
  });

  test('[ADMIN-4] is as wide as a phone, and light and dark as the system is', async () => {
    const server = await governed();
    await Tab.open(server, { name: 'Ada', room: `a-name-that-is-long-${'x'.repeat(80)}` });
    const grounds = new Set<string>();
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await quietPage({ viewport: { width: 360, height: 740 }, colorScheme });
      await signIn(page, server);
      const [shown, window] = await widths(page);
      expect(shown).toBeLessThanOrEqual(window);
      await page.getByRole('link', { name: 'a-name-that-is-long' }).click();
      await page.getByText('1 person').waitFor();
      const [detail] = await widths(page);
      expect(detail).toBeLessThanOrEqual(window);
      await page.getByRole('link', { name: 'All rooms' }).click();
      await page.getByRole('link', { name: 'a-name-that-is-long' }).waitFor();
      grounds.add(
        await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor),
      );
    }
    expect(grounds.size).toBe(2);
  });

  test('[ADMIN-4] two long names that differ at their ends can be told apart', async () => {
    const server = await governed();
    const names = ['draft', 'final'].map(
      (end) => `team-7-${'a-name-that-is-long-'.repeat(3)}${end}`,
    );
    for (const room of names) await Tab.open(server, { name: 'Ada', room });
    const page = await quietPage({ viewport: { width: 390, height: 740 } });
    await signIn(page, server);
    for (const name of names) {
      await page.getByRole('link', { name }).waitFor();
      const shown = page.getByTitle(name).locator('.row-end');
      const isCut = await shown.evaluate(
        (end) =>
          end.getBoundingClientRect().right >
          end.closest('.row-name')!.getBoundingClientRect().right,
      );
      expect([await shown.textContent(), isCut]).toEqual([name.slice(-10), false]);
    }
    // Figures beside each other, none of them beyond the edge.
    const tiles = await page
      .locator('.tile')
      .evaluateAll((all) =>
        all.map((tile) => [tile.getBoundingClientRect().left, tile.getBoundingClientRect().right]),
      );
    expect(new Set(tiles.map(([left]) => left)).size).toBe(2);
    expect(Math.max(...tiles.flat())).toBeLessThanOrEqual(390);
  });

  test('[ADMIN-6] says that the store is away, for how long people wait, and which list is old', async () => {
    const redis = await startRedis();
    const server = await governed({ STORAGE_URL: redis.url });
    const ada = await Tab.open(server, { name: 'Ada', room: 'minutes' });
    await ada.write('before');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    const page = await quietPage({}, /\b(401|50[03])\b/);
    await signIn(page, server);
    const rooms = page.getByRole('region', { name: 'Rooms' });
    await page.getByRole('button', { name: 'All rooms' }).click();
    await rooms.getByRole('link', { name: 'minutes' }).waitFor();
    const tile = (label: string) => page.locator('.tile').filter({ hasText: label });
    await tile('Time to disk').waitFor();
    await eventually(() => page.locator('.problem').count()).toBe(0);
    expect(await tile('Unsaved').getAttribute('class')).toBe('tile');

    redis.pause();
    await ada.write(' and after');
    const away =
      /^(The store does not (answer|take writes): .*)people see “Saving…”, the oldest for \d+ s\.$/;
    await eventually(() => page.locator('.problem').allTextContents()).toEqual([
      expect.stringMatching(away),
    ]);
    await eventually(() => tile('Unsaved').getAttribute('class')).toBe('tile bad');
    await tile('Unsaved')
      .getByText(/^oldest \d+ s$/)
      .waitFor();
    await eventually(() => tile('Time to disk').textContent()).toBe('Time to disk–');
    await rooms
      .getByText(/^The rooms cannot be read now: this list is of \d\d:\d\d:\d\d\.$/)
      .waitFor();
    // Whoever comes now is let in, too.
    const second = await quietPage({}, /\b(401|50[03])\b/);
    await signIn(second, server);
    await second.locator('.problem').waitFor();

    redis.resume();
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    await eventually(() => page.locator('.problem').count()).toBe(0);
    await rooms.getByText('this list is of').waitFor({ state: 'hidden' });
    await rooms.getByRole('link', { name: 'minutes' }).waitFor();
  });

  test('[ADMIN-6] says that the server is ending, that Redis is away, and that nobody answers', async () => {
    const server = await governed();
    const page = await quietPage({}, /\b(401|503)\b|net::ERR_/);
    // As a server in a fleet would say of itself; what it is made of has tests of its own.
    const said = { ready: false, draining: true, store: 'ok', relay: 'away', loopDelayMs: 0 };
    await page.route('**/health/ready', (route) => route.fulfill({ status: 503, json: said }));
    await signIn(page, server);
    const problems = page.locator('.problem');
    await eventually(() => problems.allTextContents()).toEqual([
      'This server is ending and takes no new connections.',
      'Redis does not answer: people on different servers see each other late.',
    ]);
    await page.unroute('**/health/ready');
    await eventually(() => problems.count()).toBe(0);
    await server.kill();
    await eventually(() => problems.allTextContents()).toEqual([
      expect.stringMatching(
        /^The server does not answer: it has ended, or the way to it is cut; the figures are of [\d:]+\.$/,
      ),
    ]);
  });

  test('[ADMIN-5] the API’s description is a page, with nothing from elsewhere', async () => {
    const server = await governed();
    const page = await quietPage();
    const hosts = new Set<string>();
    page.on('request', (request) => hosts.add(new URL(request.url()).host));
    await page.goto(`${server.url}/api/docs`);
    await page.getByText('Write to a document').click();
    const route = page.getByRole('group').filter({ hasText: 'Write to a document' });
    await route.getByText('application/octet-stream').waitFor();
    expect([...hosts]).toEqual([`127.0.0.1:${server.port}`]);
  });
});
