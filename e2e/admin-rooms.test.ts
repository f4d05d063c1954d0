/** What the administrator's page does with rooms and people: found, read, removed, backed up. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { cowrite } from '../server/test/command-line.js';
import {
  ADMIN_TOKEN,
  downloaded,
  governed,
  headers,
  quietPage,
  signIn,
  writeTo,
} from './administrator.js';
import { eventually } from './eventually.js';
import { type Server, Tab, temporaryFolder } from './fixtures.js';

const AUTH_SECRET = 'a secret of more than thirty-two bytes';

async function tokenOf(user: string, name: string): Promise<string> {
  const who = ['--user', user, '--name', name, '--room', 'minutes'];
  return (await cowrite(['token', ...who], { environment: { AUTH_SECRET } })).out.trim();
}

async function openRoom(page: Page, server: Server, name: string) {
  await signIn(page, server);
  await page.getByRole('link', { name }).click();
  return page.getByRole('region', { name: `Room ${name}` });
}

async function presenceIn(server: Server, room: string) {
  const response = await fetch(`${server.url}/api/rooms/${room}/presence`, { headers });
  return (await response.json()) as { people: unknown[]; total: number };
}

/** What is in a line of the list, from a room's name on. */
async function rowsOf(page: Page): Promise<(string | null)[]> {
  return await page
    .locator('a.row .row-text')
    .evaluateAll((all) => all.map((row) => row.getAttribute('title')));
}

describe('administration of rooms', () => {
  test('[ADMIN-8] [ADMIN-15] shows what a document holds, as text and JSON, and nobody in it sees that; and where the application is', async () => {
    const server = await governed({ DOCUMENT_URL: '/d/{room}' });
    const ada = await Tab.open(server, { name: 'Ada', room: 'minutes' });
    await ada.write('as agreed');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    const page = await quietPage();
    const room = await openRoom(page, server, 'minutes');
    const link = room.getByRole('link', { name: 'Open in the app' });
    await link.waitFor();
    const attributes = await link.evaluate((a) =>
      ['href', 'target', 'rel'].map((name) => a.getAttribute(name)),
    );
    expect(attributes).toEqual(['/d/minutes', '_blank', 'noopener noreferrer']);
    const button = room.getByRole('button', { name: 'Preview' });
    await button.click();
    const dialog = page.getByRole('dialog', { name: 'Preview of minutes' });
    const shown = dialog.getByRole('region', { name: 'What the document holds' });
    await eventually(() => shown.textContent()).toBe('as agreed');
    await dialog.getByText(/^As the store had it at \d\d:\d\d:\d\d\. Nobody/).waitFor();
    // It can be scrolled with the keyboard, and there is nothing to type into.
    await shown.focus();
    await page.keyboard.type('x');
    expect(await shown.textContent()).toBe('as agreed');
    await dialog.getByRole('button', { name: 'JSON' }).click();
    await eventually(() => shown.textContent()).toMatch(/"type": "paragraph".*"as agreed"/s);
    const { people, total } = await presenceIn(server, 'minutes');
    expect([people.length, total]).toEqual([1, 1]);
    expect(await ada.people()).toEqual(['Ada']);
    await ada.write(', and more');
    await ada.status.getByText('Saved', { exact: true }).waitFor();
    await dialog.getByRole('button', { name: 'Read again' }).click();
    await eventually(() => shown.textContent()).toContain('as agreed, and more');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    // Back to where it was opened.
    expect(await button.evaluate((element) => element === document.activeElement)).toBe(true);

    const doc = new Y.Doc();
    doc.getText('t').insert(0, '<b>no tags</b>\n'.repeat(20_000));
    await writeTo(server, 'large', doc);
    await page.getByRole('button', { name: 'All rooms' }).click();
    await page.getByRole('link', { name: 'large' }).click();
    await page
      .getByRole('region', { name: 'Room large' })
      .getByRole('button', { name: 'Preview' })
      .click();
    const large = page.getByRole('dialog', { name: 'Preview of large' });
    await large.getByText('Only the first 262 KB are shown').waitFor();
    const text = await large.getByRole('region').textContent();
    expect([text?.length, text?.slice(0, 14)]).toEqual([256 * 1024, '<b>no tags</b>']);
  });

  test('[ADMIN-9] people are shown by user, since when, and each can be removed, also one whom nobody knows', async () => {
    const server = await governed({ AUTH_SECRET });
    const token = await tokenOf('ada', 'Ada');
    const [first, second, bob] = [
      await Tab.open(server, { token }),
      await Tab.open(server, { token }),
      await Tab.open(server, { token: await tokenOf('bob', 'Bob') }),
    ];
    const page = await quietPage();
    const room = await openRoom(page, server, 'minutes');
    await room.getByText('2 people').waitFor();
    const line = (name: string) => room.getByRole('listitem').filter({ hasText: name });
    await eventually(() => line('Ada').locator('small').textContent()).toMatch(
      /^ada · 2 tabs or connections · since \d\d:\d\d$/,
    );
    await eventually(() => line('Bob').locator('small').textContent()).toMatch(
      /^bob · since \d\d:\d\d$/,
    );
    await room.getByRole('button', { name: 'Remove Ada' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await room.getByText('2 sockets at this server closed.').waitFor();
    for (const tab of [first, second]) await tab!.page.getByTestId('closed-banner').waitFor();
    expect(await bob!.page.getByTestId('closed-banner').isVisible()).toBe(false);

    // One at another server, and one who shows nothing of themselves.
    const there = { state: { user: { name: 'Grace' } }, since: '2020-02-03T12:00:00.000Z' };
    const people = [
      { ...there, client: 7, user: null, connection: null },
      { client: null, state: null, user: null, since: null, connection: 12 },
    ];
    await page.route('**/presence', (route) => route.fulfill({ json: { people, total: 2 } }));
    let asked: unknown;
    await page.route('**/kick', (route) => {
      asked = route.request().postDataJSON();
      return route.fulfill({ json: { sessions: 0 } });
    });
    await eventually(() => line('Grace').locator('small').textContent()).toMatch(
      /^client 7 · since 3 Feb 2020, \d\d:\d\d · at another server$/,
    );
    const silent = line('Connection 12, which shows nobody');
    expect(await silent.getByRole('button').isVisible()).toBe(false);
    await room.getByRole('button', { name: 'Remove Grace' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await room.getByText('Removed: the server that has Grace was told.').waitFor();
    expect(asked).toEqual({ client: 7 });
  });

  test('[ADMIN-9] where nobody is asked who they are, one person is removed and the others stay', async () => {
    const server = await governed();
    const [ada, grace] = [
      await Tab.open(server, { name: 'Ada', room: 'minutes' }),
      await Tab.open(server, { name: 'Grace', room: 'minutes' }),
    ];
    const page = await quietPage();
    const room = await openRoom(page, server, 'minutes');
    await room.getByText('2 people').waitFor();
    await room.getByRole('button', { name: 'Remove Grace' }).click();
    const dialog = page.getByRole('dialog', { name: 'Remove Grace?' });
    await dialog.getByText('Tabs of the same browser may share their connection').waitFor();
    await dialog.getByRole('button', { name: 'Remove' }).click();
    await grace!.page.getByTestId('closed-banner').waitFor();
    await room.getByText('1 person').waitFor();
    await ada!.write('alone');
    await ada!.status.getByText('Saved', { exact: true }).waitFor();
  });

  test('[ADMIN-10] "Back up now" downloads a backup that restores, and nothing of one that is cut off', async () => {
    const server = await governed();
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'kept');
    for (const room of ['minutes', 'notes']) await writeTo(server, room, doc);
    const page = await quietPage();
    await signIn(page, server);
    await page.getByRole('button', { name: 'Back up…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Back up' });
    const button = dialog.getByRole('button', { name: 'Back up now' });
    const [name, bytes] = await downloaded(page, button);
    expect(name).toMatch(/^cowrite-\d{4}-\d\d-\d\dT[\d-]{8}\.cowrite$/);
    await dialog.getByText(/^All of it has arrived: 2 rooms, [\d.]+ K?B\.$/).waitFor();
    const folder = temporaryFolder();
    const file = join(folder, 'downloaded.cowrite');
    writeFileSync(file, bytes);
    const store = `lmdb:${join(folder, 'store')}`;
    const restored = await cowrite(['restore', file, '--storage', store]);
    expect([restored.code, restored.errors]).toEqual([0, '']);
    const read = ['export', 'notes', '-', '--format', 'text', '--storage', store];
    expect((await cowrite(read)).out.trim()).toBe('kept');

    // Without its end, as from a proxy that gives up without a word.
    let downloads = 0;
    page.on('download', () => downloads++);
    const body = bytes.subarray(0, bytes.length - 5);
    await page.route('**/api/backup', (route) => route.fulfill({ body }));
    await button.click();
    await dialog.getByText('There is no backup: it was cut off').waitFor();
    // What a damaged store could not give is told.
    const end = bytes.toString('latin1').lastIndexOf('"unreadable":[]');
    const damaged = Buffer.concat([
      bytes.subarray(0, end),
      Buffer.from('"unreadable":["old\\nplans"],"lost":3}'),
    ]);
    await page.unroute('**/api/backup');
    await page.route('**/api/backup', (route) => route.fulfill({ body: damaged }));
    const [, received] = await downloaded(page, button);
    expect(received.length).toBe(damaged.length);
    await dialog
      .getByText('1 room could not be read: "old\\nplans". 3 updates could not be read.')
      .waitFor();
    expect(downloads).toBe(1);
  });

  test('[ADMIN-11] [ADMIN-12] rooms are found inside their names and sorted, what was deleted is revived, and the last answer stays', async () => {
    const server = await governed();
    const page = await quietPage({}, /\b(401|503)\b/);
    for (const [room, times] of Object.entries({ 'team/plans': 1, 'Plan B': 3, notes: 2 })) {
      const doc = new Y.Doc();
      for (let i = 0; i < times; i++) {
        doc.getText('t').insert(0, `${i}`);
        await writeTo(server, room, doc);
      }
    }
    await fetch(`${server.url}/api/rooms/notes`, { method: 'DELETE', headers });
    await signIn(page, server);
    await page.getByRole('button', { name: 'All rooms' }).click();
    await eventually(() => rowsOf(page)).toEqual(['Plan B', 'team/plans']);
    const byUpdates = page.getByRole('button', { name: 'Updates' });
    await page.getByLabel('Search the names of rooms').fill('plan');
    await eventually(() => rowsOf(page)).toEqual(['Plan B', 'team/plans']);
    await page.getByLabel('Search the names of rooms').fill('m/P');
    await eventually(() => rowsOf(page)).toEqual(['team/plans']);
    await page.getByLabel('Search the names of rooms').fill('');
    await byUpdates.click();
    expect(await byUpdates.getAttribute('aria-pressed')).toBe('true');
    await eventually(() => rowsOf(page)).toEqual(['Plan B', 'team/plans']);

    // The server answers nothing more about rooms: what was known of each question stays.
    await page.route('**/api/rooms?*', (route) => route.fulfill({ status: 503, json: {} }));
    await page.getByRole('button', { name: 'Deleted' }).click();
    await page.getByText('The rooms could not be read.').waitFor();
    await page.getByRole('button', { name: 'All rooms' }).click();
    await page.getByText(/^The rooms cannot be read now: this list is of [\d:]+\.$/).waitFor();
    expect(await rowsOf(page)).toEqual(['Plan B', 'team/plans']);
    await page.unroute('**/api/rooms?*');

    await page.getByRole('button', { name: 'Deleted' }).click();
    await eventually(() => rowsOf(page)).toEqual(['notes']);
    await page.getByRole('link', { name: 'notes, deleted' }).click();
    const room = page.getByRole('region', { name: 'Room notes' });
    await room.getByRole('button', { name: 'Make the name usable again' }).click();
    await room.getByText('The name can be used again; the room is empty.').waitFor();
    await eventually(() => rowsOf(page)).toEqual([]);
  });

  test('[ADMIN-13] what fails while the page is open is told, with where the handbook says what to do', async () => {
    const server = await governed();
    const page = await quietPage();
    let looks = 0;
    await page.route('**/metrics', (route) => {
      looks++;
      const body = [
        'cowrite_connections 1',
        `cowrite_closes_total{code="1011"} ${looks > 2 ? 7 : 5}`,
        'cowrite_closes_total{code="1000"} 9',
        `cowrite_compaction_failures_total ${looks > 2 ? 1 : 0}`,
        'process_open_fds 900',
        'process_max_fds 1000',
      ];
      return route.fulfill({ contentType: 'text/plain', body: `${body.join('\n')}\n` });
    });
    await signIn(page, server);
    const problems = page.locator('.problem');
    // What happened before the page was opened is no news.
    await eventually(() => problems.allTextContents()).toEqual([
      expect.stringMatching(
        /^Documents could not be opened.*: 2 connections were closed in the last \d+ s\.In the handbook: CowriteRoomsFail$/,
      ),
      expect.stringMatching(/^Logs could not be merged.*: 1 failure in the last/),
      expect.stringMatching(/: 900 files of 1,000\.$/),
    ]);
    expect(await page.locator('.well').isVisible()).toBe(false);
  });

  test('[ADMIN-14] everything is reached with the keyboard, and the focus stays where it is while the list changes', async () => {
    const server = await governed();
    const tabs = [
      await Tab.open(server, { name: 'Ada', room: 'first' }),
      await Tab.open(server, { name: 'Bob', room: 'second' }),
    ];
    const page = await quietPage();
    await page.goto(`${server.url}/admin`);
    await page.keyboard.type(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'first' }).waitFor();
    const reached: string[] = [];
    const focused = () =>
      page.evaluate(() => {
        const { activeElement } = document;
        return activeElement?.getAttribute('aria-label') ?? activeElement?.textContent ?? '';
      });
    for (let i = 0; i < 40 && !reached.at(-1)?.startsWith('second, '); i++) {
      await page.keyboard.press('Tab');
      reached.push(await focused());
    }
    expect(reached.at(-1)).toMatch(/^second, \d updates?, 1 tab, 1 socket$/);
    const names = ['Back up…', 'HTTP API', 'Sign out', 'Open here', 'All rooms', 'Deleted'];
    const all = [...names, 'Search the names of rooms', 'Room', 'Tabs', 'Sockets', 'Updates'];
    expect(reached).toEqual(expect.arrayContaining([...all, 'Snapshot']));
    await page.getByRole('button', { name: 'Sockets' }).focus();
    await page.keyboard.press('Space');
    await page.getByRole('link', { name: 'second' }).focus();
    // Another tab makes it the first of the list.
    await Tab.open(server, { name: 'Eve', room: 'second' });
    await eventually(() => rowsOf(page)).toEqual(['second', 'first']);
    expect(await focused()).toContain('second');
    await page.keyboard.press('Enter');
    const room = page.getByRole('region', { name: 'Room second' });
    await room.getByRole('list', { name: '2 people' }).waitFor();
    await room.getByRole('button', { name: 'Remove Bob' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Remove Bob?' }).waitFor();
    expect(await focused()).toBe('Cancel');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await tabs[1]!.page.getByTestId('closed-banner').waitFor();
    await room.getByRole('status').getByText('1 socket at this server closed.').waitFor();
  });
});
