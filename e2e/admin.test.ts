/** The administrator's page, and the page about the HTTP API. */
import type { Locator } from 'playwright';
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { LmdbStorage } from '../server/src/storage/lmdb.js';
import { cowrite } from '../server/test/command-line.js';
import { typedByTurns } from '../server/test/large.js';
import { startRedis } from '../server/test/redis-service.js';
import {
  ADMIN_TOKEN,
  downloaded,
  figuresOn,
  governed,
  quietPage,
  signIn,
  widths,
} from './administrator.js';
import { eventually } from './eventually.js';
import { Server, Tab, temporaryFolder } from './fixtures.js';

const AUTH_SECRET = 'a secret of more than thirty-two bytes';

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
    await eventually(() => page.locator('.tile').count()).toBe(12);
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
    await page.getByLabel('Search the names of rooms').fill('none');
    await rooms.getByText('No room has this in its name.').waitFor();
    await page.getByLabel('Search the names of rooms').fill('NUTE');
    await rooms.getByRole('link', { name: 'minutes' }).waitFor();
  });

  test('[ADMIN-2] [ADMIN-13] each figure is the one that it says, and those near or over their bounds stand out, also in words', async () => {
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
        'cowrite_connections_limit 1500',
        'process_resident_memory_bytes 960000000',
        'cowrite_memory_limit_bytes 1000000000',
        `cowrite_upgrades_refused_total{reason="origin"} ${looks}`,
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
      Memory: '960 MB',
      'Slow clients': '5',
      Refused: expect.stringMatching(/^0\.\d+\/s$/),
      Quarantined: '6',
      Unsaved: '7',
      'Limits reached': '0/s',
    });
    const labels = (level: string) =>
      page
        .locator(`.tile.${level} .tile-label`)
        .evaluateAll((all) =>
          all.map((label) =>
            [...label.childNodes].map(({ textContent }) => textContent).join(' | '),
          ),
        );
    expect(await labels('bad')).toEqual([
      'Delivery lag | too high',
      'Memory | too high | 96% of 1.0 GB',
      'Quarantined | too high',
    ]);
    expect(await labels('near')).toEqual([
      'Connections | high | 82% of 1,500',
      'Slow clients | high',
    ]);
    const said = 'Look at: Connections, Delivery lag, Memory, Slow clients, Quarantined.';
    expect(await page.locator('.well').textContent()).toBe(said);
  });

  test('[ADMIN-2] what was quarantined is among the figures, and in its room', async () => {
    const folder = temporaryFolder();
    const store = await LmdbStorage.open(folder);
    const entries = [{ update: Uint8Array.of(255), author: 'nobody' }];
    await store.append({ number: 1, appends: [{ room: 'minutes', entries }] });
    await store.close();
    const server = await governed({ STORAGE_URL: `lmdb:${folder}` });
    const page = await quietPage();
    await signIn(page, server);
    await eventually(() => figuresOn(page)).toMatchObject({ Quarantined: '0' });
    const ada = await Tab.open(server, { name: 'Ada', room: 'minutes' });
    await ada.write('as agreed');
    await eventually(() => figuresOn(page)).toMatchObject({ Quarantined: '1' });
    await page.getByRole('link', { name: 'minutes' }).click();
    const room = page.getByRole('region', { name: 'Room minutes' });
    await room.getByRole('button', { name: 'Compact now' }).click();
    await room.getByText('Quarantined1 entry').waitFor();
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

  test('[ADMIN-3] removes one person, and nobody else', async () => {
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
    await room.getByRole('button', { name: 'Remove Bob' }).click();
    await page.getByRole('dialog').getByText('Remove Bob?').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    expect(await bob!.editor.getAttribute('contenteditable')).toBe('true');
    await room.getByRole('button', { name: 'Remove Bob' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await room.getByText('1 socket at this server closed.').waitFor();
    await bob!.page.getByTestId('closed-banner').waitFor();
    await room.getByText('1 person').waitFor();
    await room.getByRole('button', { name: 'Remove Ada' }).waitFor();
    await ada!.write('alone');
    await ada!.status.getByText('Saved', { exact: true }).waitFor();
    expect(await ada!.page.getByTestId('closed-banner').isVisible()).toBe(false);
  });

  test('[ADMIN-3] removes people and deletes a room, once that is confirmed', async () => {
    const server = await governed();
    const ada = await Tab.open(server, { name: 'Ada', room: 'minutes' });
    await ada.write('secret');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    const page = await quietPage();
    await signIn(page, server);
    await page.getByRole('link', { name: 'minutes' }).click();
    const room = page.getByRole('region', { name: 'Room minutes' });
    await room.getByRole('button', { name: 'Remove everybody' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    expect(await ada.editor.getAttribute('contenteditable')).toBe('true');
    await room.getByRole('button', { name: 'Remove everybody' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
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
      // And on a wide screen the list fills what the room beside it leaves.
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.getByRole('link', { name: 'a-name-that-is-long' }).click();
      const list = await page.locator('.list').boundingBox();
      const room = await page.locator('.detail').boundingBox();
      expect(list!.width).toBeGreaterThan(700);
      expect(room!.x).toBeGreaterThan(list!.x + list!.width);
      expect(room!.y).toBe(list!.y);
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

  test('[ADMIN-6] [ADMIN-12] says that the store is away, for how long people wait, and which list is old', async () => {
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
    await page.getByText('All is well').waitFor();

    redis.pause();
    await ada.write(' and after');
    const away =
      /^(The store does not (answer|take writes): .*)people see “Saving…”, the oldest for \d+ s\.In the handbook: Cowrite\w+$/;
    await eventually(() => page.locator('.problem').allTextContents()).toEqual([
      expect.stringMatching(away),
    ]);
    await eventually(() => tile('Unsaved').getAttribute('class')).toBe('tile bad');
    await tile('Unsaved')
      .getByText(/^oldest \d+ s$/)
      .waitFor();
    // Nothing is measured any more: its last value stays, and says of when it is.
    await eventually(() => tile('Time to disk').textContent()).toMatch(
      /^Time to disk(at \d\d:\d\d:\d\d|since its start)[\d.]+ m?s$/,
    );
    await rooms
      .getByText(/^The rooms cannot be read now: this list is of \d\d:\d\d:\d\d\.$/)
      .waitFor();
    // Who comes now is let in, too.
    const second = await quietPage({}, /\b(401|50[03])\b/);
    await signIn(second, server);
    await second.locator('.problem').waitFor();

    redis.resume();
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    // What has failed is not forgotten at once; nothing else is left.
    await eventually(async () =>
      (await page.locator('.problem').allTextContents()).filter(
        (text) => !/^The store did not take some writes; .* failures? in the last/.test(text),
      ),
    ).toEqual([]);
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
      'Redis does not answer: people on different servers see each other late.In the handbook: CowriteRelayAway',
    ]);
    await page.unroute('**/health/ready');
    await eventually(() => problems.count()).toBe(0);
    await server.kill();
    await eventually(() => problems.allTextContents()).toEqual([
      expect.stringMatching(
        /^The server does not answer: it has ended, or the way to it is cut; the figures are of [\d:]+\.In the handbook: CowriteDown$/,
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
