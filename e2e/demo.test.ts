/** The demo as people use it: undo, what is pasted, who is here, links, and a phone. */
import { readFile } from 'node:fs/promises';
import { SignJWT } from 'jose';
import type { BrowserContext, Page } from 'playwright';
import { expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, sharedServer, Tab } from './fixtures.js';

const text = async (tab: Tab) => (await tab.html()).replace(/<[^>]*>/g, '').replace(/&nbsp;/g, ' ');

/** Puts something on a clipboard of the page's own, and pastes it. */
async function paste(tab: Tab, types: Readonly<Record<string, string>>): Promise<void> {
  await tab.editor.evaluate((editor, contents) => {
    const data = new DataTransfer();
    for (const [type, content] of Object.entries(contents)) data.setData(type, content);
    editor.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
    );
  }, types);
}

/** The same letters, however long the machine takes for them: no pause is between them. */
const withoutPauses = (page: Page) => page.clock.setFixedTime(1_700_000_000_000);

test('[DEMO-1] undo takes back a word, what came before a pause, or a paste, and redo brings it again', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server, { prepare: withoutPauses });
  const undo = () => ada.page.keyboard.press('ControlOrMeta+z');
  await ada.type('one two three');
  await ada.page.clock.setFixedTime(1_700_000_010_000);
  await ada.page.keyboard.type('teen');
  await paste(ada, { 'text/plain': ' pasted words here' });
  await ada.page.keyboard.type('!');
  await ada.page.keyboard.press('Enter');
  await ada.page.keyboard.type('next');
  const steps = [
    'one two threeteen pasted words here!next',
    'one two threeteen pasted words here!',
    'one two threeteen pasted words here!',
    'one two threeteen pasted words here',
    'one two threeteen',
    'one two three',
    'one two ',
    'one ',
    '',
  ];
  for (const [index, step] of steps.entries()) {
    await eventually(() => text(ada)).toBe(step);
    if (index < steps.length - 1) await undo();
  }
  for (const step of steps.toReversed().slice(1)) {
    await ada.page.keyboard.press('ControlOrMeta+Shift+z');
    await eventually(() => text(ada)).toBe(step);
  }

  // Deleted words come back one by one, and a format is a step of its own.
  await ada.moveTo('end');
  await ada.page.keyboard.press('ControlOrMeta+b');
  for (let letter = 0; letter < 'next'.length; letter++) await ada.page.keyboard.press('Backspace');
  await ada.page.keyboard.type('strong words');
  await undo();
  await eventually(() => text(ada)).toBe('one two threeteen pasted words here!strong ');
  await undo();
  await undo();
  await eventually(() => text(ada)).toBe(steps[0]);
});

test('[DEMO-1] what others write meanwhile ends no word', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server, { prepare: withoutPauses });
  await ada.write('first\n');
  const grace = await Tab.open(server, { name: 'Grace' });
  await ada.page.keyboard.type('wo');
  await grace.moveTo('start');
  await grace.page.keyboard.type('Grace ');
  await eventually(() => text(ada)).toBe('Grace firstwo');
  await ada.page.keyboard.type('rd');
  await ada.page.keyboard.press('ControlOrMeta+z');
  await eventually(() => text(ada)).toBe('Grace first');
});

test('[DEMO-2] undo down to the empty document and redo leave no line that nobody wrote', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server, { prepare: withoutPauses });
  const grace = await Tab.open(server, { name: 'Grace' });
  await ada.write('first');
  await eventually(() => grace.html()).toBe('<p>first</p>');
  for (const round of [1, 2]) {
    await ada.page.keyboard.press('ControlOrMeta+z');
    await eventually(() => grace.html()).toBe('<p></p>');
    // What moves the caret is a transaction of the editor, too.
    for (const tab of [ada, grace]) await tab.moveTo('end');
    await ada.page.keyboard.press('ControlOrMeta+Shift+z');
    await eventually(() => grace.html()).toBe('<p>first</p>');
    expect(await ada.html(), `round ${round}`).toBe('<p>first</p>');
  }
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  expect(await (await Tab.open(server, { name: 'Ruth' })).html()).toBe('<p>first</p>');
});

test('[DEMO-2] the same of a document whose first line is a heading', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  await ada.page.getByRole('button', { name: 'Heading 1' }).click();
  await ada.page.keyboard.type('Title');
  await eventually(() => ada.html()).toBe('<h1>Title</h1>');
  const undo = ada.page.getByRole('button', { name: 'Undo' });
  await eventually(async () => {
    await ada.page.keyboard.press('ControlOrMeta+z');
    return await undo.getAttribute('aria-disabled');
  }).toBe('true');
  await ada.moveTo('end');
  await eventually(async () => {
    await ada.page.keyboard.press('ControlOrMeta+Shift+z');
    return await ada.html();
  }).toBe('<h1>Title</h1>');
});

const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

test('[DEMO-3] a pasted table is a table, and can be changed; images are shown, or are said to be missing', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  const grace = await Tab.open(server, { name: 'Grace' });
  await ada.editor.focus();
  await paste(ada, {
    'text/html':
      '<table><tr><th>Name</th><th>Seat</th></tr><tr><td>Ruth</td><td>12</td></tr></table>',
  });
  const cells = async (tab: Tab) =>
    [...(await tab.html()).matchAll(/<t[hd].*?>(.*?)<\/t[hd]>/g)].map(([, cell = '']) =>
      cell.replace(/<[^>]*>/g, ''),
    );
  await eventually(() => cells(grace)).toEqual(['Name', 'Seat', 'Ruth', '12']);
  await ada.editor.getByText('12').click();
  const menu = ada.page.getByRole('group', { name: 'Table' });
  await menu.getByRole('button', { name: 'Add row' }).click();
  await menu.getByRole('button', { name: 'Delete column' }).click();
  await eventually(() => cells(grace)).toEqual(['Name', 'Ruth', '']);
  await menu.getByRole('button', { name: 'Delete table' }).click();
  await eventually(() => cells(grace)).toEqual([]);

  await paste(ada, {
    'text/html': `<p>before</p><img src="${PIXEL}" alt="a dot"><img src="https://example.com/a.png" alt="far"><img src="file:///tmp/x.png"><p>after</p>`,
  });
  await grace.editor.getByRole('img', { name: 'a dot' }).waitFor();
  const far = grace.editor.getByRole('link', { name: 'Image on example.com: far' });
  expect(await far.getAttribute('href')).toBe('https://example.com/a.png');
  await ada.page.getByRole('status').getByText('An image is missing').waitFor();
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  // Nothing that the editor shows beside the text is taken for a difference from the document.
  expect(await ada.page.getByTestId('apart-banner').count()).toBe(0);
});

test('[DEMO-3] a large picture file becomes a small one, whether it is picked or pasted', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  // Noise, which nothing makes small but fewer points.
  const large = await ada.page.evaluate(() => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 700;
    const context = canvas.getContext('2d')!;
    const noise = context.createImageData(700, 700);
    let seed = 7;
    noise.data.forEach((_, index) => {
      seed = (seed * 48_271) % 2_147_483_647;
      noise.data[index] = index % 4 === 3 ? 255 : seed % 256;
    });
    context.putImageData(noise, 0, 0);
    return canvas.toDataURL('image/png');
  });
  expect(large.length).toBeGreaterThan(1_000_000);
  await ada.editor.focus();
  const choosing = ada.page.waitForEvent('filechooser');
  await ada.page.getByRole('button', { name: 'Image' }).click();
  await (await choosing).setFiles({
    name: 'noise.png',
    mimeType: 'image/png',
    buffer: Buffer.from(large.split(',')[1]!, 'base64'),
  });
  const images = ada.editor.locator('img:not(.ProseMirror-separator)');
  await eventually(() => images.count()).toBe(1);
  expect(await images.first().getAttribute('alt')).toBe('noise');
  await ada.moveTo('end');
  await paste(ada, { 'text/html': `<p>pasted</p><img src="${large}">` });
  await eventually(() => images.count()).toBe(2);
  for (const src of await images.evaluateAll((all) =>
    all.map((image) => image.getAttribute('src')),
  )) {
    expect(src).toMatch(/^data:image\/webp/);
    expect(src?.length).toBeLessThan(270_001);
  }
  await ada.status.getByText('Saved', { exact: true }).waitFor();
});

test('[DEMO-4] a document whose name has slashes is made, opened by name and by link, and listed', async () => {
  const server = await sharedServer();
  const page = await (await openBrowser()).newPage();
  const openBy = async (typed: string) => {
    await page.goto(server.url);
    await page.getByLabel('Or open one by its name or link').fill(typed);
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await page.waitForURL(`${server.url}/d/team-7/2026/minutes`);
    await page.getByTestId('editor').waitFor();
  };
  await openBy('team-7/2026/minutes');
  await page.keyboard.type('in a team');
  await page.getByTestId('save-status').getByText('Saved', { exact: true }).waitFor();
  await openBy(`${server.url}/d/team-7%2F2026%2Fminutes`);
  await page.getByTestId('editor').getByText('in a team').waitFor();
  await page.getByRole('link', { name: 'Your documents' }).click();
  await page.getByRole('link', { name: 'in a team' }).click();
  await page.waitForURL(`${server.url}/d/team-7/2026/minutes`);
  // A step of a path is no part of a name.
  await page.goto(`${server.url}/d/team-7/%2e%2e%2fminutes`);
  await page.getByRole('heading', { name: 'This cannot be a document’s name' }).waitFor();
});

const SECRET = 'x'.repeat(32);

async function tokenFor(sub: string, name?: string): Promise<string> {
  return await new SignJWT({ name, rooms: { '*': 'write' } })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(sub)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));
}

test('[DEMO-5] a token’s name is shown to its owner as it is to others, and tabs of one user are one person', async () => {
  const server = await Server.start(undefined, {
    STORAGE_URL: 'memory:',
    AUTH_SECRET: SECRET,
  });
  const ada = await Tab.open(server, {
    name: 'Somebody',
    token: await tokenFor('u1', 'Ada Žižek'),
  });
  expect(await ada.people()).toEqual(['Ada Žižek']);
  const again = await Tab.open(server, { name: 'Else', token: await tokenFor('u1', 'Ada Žižek') });
  const grace = await Tab.open(server, { name: 'Grace', token: await tokenFor('u2') });
  await eventually(() => grace.people()).toEqual(['Grace', 'Ada Žižek']);
  for (const tab of [ada, again])
    await eventually(() => tab.people()).toEqual(['Ada Žižek', 'Grace']);
  await ada.page.getByRole('button', { name: 'Ada Žižek (you)' }).click();
  expect(await ada.page.getByLabel('Your name').isEditable()).toBe(false);
  await ada.page.getByRole('button', { name: 'Ada Žižek (you, another tab)' }).waitFor();
});

/** As this person, with what Yjs draws for its client id. */
const as = (person: object, clientId: number) => async (page: Page) => {
  await page.addInitScript(
    ([kept, id]) => {
      localStorage.setItem('cowrite:person', localStorage.getItem('cowrite:person') ?? kept);
      const draw = crypto.getRandomValues.bind(crypto);
      crypto.getRandomValues = (array) => {
        draw(array);
        if (array instanceof Uint32Array) array.fill(id);
        return array;
      };
    },
    [JSON.stringify(person), clientId] as const,
  );
};

test('[DEMO-6] two tabs of one browser are one person, who leaves with the last of them', async () => {
  const server = await sharedServer();
  const browser = await openBrowser();
  const path = `${server.url}/d/two-tabs`;
  const open = async (context: BrowserContext, person: object, clientId: number) => {
    const page = await context.newPage();
    await as(person, clientId)(page);
    await page.goto(path);
    await page.getByTestId('editor').waitFor();
    return page;
  };
  const color = '#1a6fc4';
  const deer = { name: 'Deer', color, id: 'deer', picked: false };
  const ownColour = (page: Page) =>
    page
      .locator('.avatar[data-self="true"]')
      .evaluate((own) => own.style.getPropertyValue('--peer'));
  // One tab gives way to Grace, who has its colour, and Grace to the other: of one colour again.
  const grace = await open(await openBrowser(), { ...deer, name: 'Grace', id: 'grace' }, 2_000);
  const second = await open(browser, deer, 3_000);
  await eventually(() => ownColour(second)).not.toBe(color);
  const first = await open(browser, deer, 1_000);
  const shown = (page: Page) => page.getByTestId('people').getByTestId('person').count();
  for (const page of [first, second, grace]) await eventually(() => shown(page)).toBe(2);
  await first.getByRole('button', { name: /\(you\)/ }).click();
  await first.getByRole('button', { name: /\(you, another tab\)$/ }).waitFor();
  const ownColours = () => Promise.all([grace, first, second].map(ownColour));
  await eventually(async () => (await ownColours()).slice(1)).toEqual([color, color]);
  await eventually(() => ownColour(grace)).not.toBe(color);
  // What is chosen in one tab is so in the other.
  await second.getByRole('button', { name: /\(you\)/ }).click();
  await second.getByLabel('Rose').check();
  await second.getByLabel('Your name').fill('Deft Deer');
  const rose = '#c92f66';
  await eventually(async () => (await ownColours()).slice(1)).toEqual([rose, rose]);
  await first.getByRole('button', { name: 'Deft Deer (you): name and colour' }).waitFor();
  await second.close();
  await first.getByText('Nobody').waitFor({ state: 'hidden' });
  await first.getByRole('button', { name: /\(you, another tab\)$/ }).waitFor({ state: 'hidden' });
  await eventually(() => shown(grace)).toBe(2);
  await first.close();
  await eventually(() => shown(grace)).toBe(1);
});

test('[DEMO-7] without a server what is written is “Offline”, and saved when it is back', async () => {
  const server = await Server.start();
  const ada = await Tab.open(server);
  await ada.write('before');
  await ada.status.getByText('Saved', { exact: true }).waitFor();
  await server.kill();
  await ada.offlineBanner.waitFor();
  // What is on disk is on disk.
  expect(await ada.status.textContent()).toBe('Saved');
  await ada.write(' after');
  await ada.status.getByText('Offline', { exact: true }).waitFor();
  expect(await ada.status.getAttribute('data-tip')).toContain('in this browser');
  await server.start();
  await ada.hurry();
  await ada.status.getByText('Saved', { exact: true }).waitFor();
});

test('[DEMO-8] nobody’s name is read out as a part of the text', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server, { name: 'Ada' });
  const grace = await Tab.open(server, { name: 'Grace' });
  await ada.write('before');
  await grace.editor.getByText('before').waitFor();
  await grace.write('after');
  await eventually(() => ada.carets()).toEqual({ Grace: 'beforeafter' });
  const session = await ada.page.context().newCDPSession(ada.page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  const editor = nodes.find(
    ({ name, role }) => role?.value === 'textbox' && name?.value === 'Document',
  );
  expect(String(editor?.value?.value).trim()).toBe('beforeafter');
  const byId = new Map(nodes.map((node) => [node.nodeId, node]));
  const spoken = (id: string): string[] => {
    const node = byId.get(id as never);
    if (!node) return [];
    const own = node.ignored ? [] : [String(node.name?.value ?? '')];
    return [...own, ...(node.childIds ?? []).flatMap(spoken)];
  };
  const words = (editor?.childIds ?? []).flatMap(spoken);
  expect(words.join(' ')).toContain('beforeafter');
  expect(words.join(' ')).not.toContain('Grace');
  // Who is here is said where people are listed.
  await ada.page.getByRole('button', { name: 'Grace', exact: true }).waitFor();
});

test('[DEMO-9] a link can be opened, copied, edited and removed beside it, by mouse and by keyboard', async () => {
  const server = await sharedServer();
  const browser = await openBrowser({ permissions: ['clipboard-read', 'clipboard-write'] });
  const ada = await Tab.open(server, { browser });
  await ada.editor.focus();
  await paste(ada, {
    'text/html': '<p>see <a href="https://example.com/a">this page</a> here</p>',
  });
  const link = ada.editor.getByRole('link', { name: 'this page' });
  const card = ada.page.getByRole('group', { name: 'Link' });
  await card.waitFor({ state: 'hidden' });
  await link.click();
  await card.waitFor();
  const open = card.getByRole('link', { name: 'Open https://example.com/a' });
  expect(await open.getAttribute('href')).toBe('https://example.com/a');
  expect(await open.getAttribute('target')).toBe('_blank');
  await card.getByRole('button', { name: 'Copy' }).click();
  await card.getByRole('status').getByText('Link address copied').waitFor();
  expect(await ada.page.evaluate(() => navigator.clipboard.readText())).toBe(
    'https://example.com/a',
  );

  await card.getByRole('button', { name: 'Edit' }).click();
  await ada.page.getByLabel('Link address').fill('example.com/b');
  await ada.page.keyboard.press('Enter');
  await eventually(() => link.getAttribute('href')).toBe('https://example.com/b');

  // With the keyboard: on with Tab, back with Escape.
  await link.click();
  await card.getByRole('link', { name: 'Open https://example.com/b' }).waitFor();
  await ada.editor.focus();
  for (const name of [undefined, 'Open https://example.com/b', 'Copy', 'Edit', 'Remove']) {
    await ada.page.keyboard.press('Tab');
    if (name === undefined) continue;
    await eventually(() =>
      ada.page.evaluate(() => document.activeElement?.getAttribute('aria-label')),
    ).toBe(name);
  }
  await ada.page.keyboard.press('Enter');
  await eventually(() => ada.html()).toBe('<p>see this page here</p>');
  await card.waitFor({ state: 'hidden' });
  await ada.page.keyboard.press('ControlOrMeta+z');
  await link.click();
  await card.waitFor();
  await ada.page.keyboard.press('Tab');
  await ada.page.keyboard.press('Escape');
  await card.waitFor({ state: 'hidden' });
  await eventually(() => ada.editor.evaluate((editor) => editor === document.activeElement)).toBe(
    true,
  );
});

test('[DEMO-10] on a phone every tool is reached without scrolling sideways, and is as large as a finger', async () => {
  const server = await sharedServer();
  const browser = await openBrowser({ viewport: { width: 360, height: 740 }, hasTouch: true });
  const ada = await Tab.open(server, { browser });
  await ada.write('text');
  const bar = ada.page.getByRole('toolbar', { name: 'Formatting' });
  const seen = () =>
    bar.evaluate((toolbar) => {
      const { top, bottom, left, right } = toolbar.getBoundingClientRect();
      return [...toolbar.querySelectorAll('button')]
        .map((tool) => tool.getBoundingClientRect())
        .filter((tool) => tool.top >= top - 1 && tool.bottom <= bottom + 1)
        .map(
          (tool) =>
            tool.left >= left && tool.right <= right && tool.width >= 44 && tool.height >= 44,
        );
    });
  const folded = await seen();
  expect(folded.length).toBeGreaterThanOrEqual(6);
  expect(folded).not.toContain(false);
  const all = await bar.getByRole('button').count();
  expect(folded.length).toBeLessThan(all);
  const more = ada.page.getByRole('button', { name: 'More tools' });
  await more.tap();
  expect(await more.getAttribute('aria-expanded')).toBe('true');
  const unfolded = await seen();
  expect(unfolded).toEqual(Array.from({ length: all }, () => true));
  await bar.getByRole('button', { name: 'Task list' }).tap();
  await ada.editor.getByRole('checkbox', { name: 'text' }).check();
  await more.tap();
  expect(await seen()).toEqual(folded);
  // The keyboard reaches what is folded, and unfolds it.
  await ada.page.keyboard.press('Alt+F10');
  await ada.page.keyboard.press('End');
  await eventually(() => more.getAttribute('aria-expanded')).toBe('true');
  await ada.page.keyboard.press('Escape');
  await eventually(() => more.getAttribute('aria-expanded')).toBe('false');
  await ada.status.getByText('Saved', { exact: true }).waitFor();
});

test('[DEMO-11] “Reload” is offered where it helps, and a way out where it does not', async () => {
  const server = await sharedServer();
  const cases = [
    { code: 4401, reason: 'token expired', token: 'a.b.c', reload: false },
    { code: 4401, reason: 'session ended', token: undefined, reload: true },
    { code: 4404, reason: 'the document was deleted', token: undefined, reload: false },
    { code: 4403, reason: 'shown out', token: undefined, reload: true },
    { code: 4400, reason: 'not understood', token: undefined, reload: true },
  ];
  const browser = await openBrowser();
  for (const { code, reason, token, reload } of cases) {
    const page = await browser.newPage();
    const sockets: { close(options: { code: number; reason: string }): Promise<void> }[] = [];
    await page.routeWebSocket(/\/ws\//, (route) => {
      route.connectToServer();
      sockets.push(route);
    });
    const fragment = token === undefined ? '' : `#token=${token}`;
    await page.goto(`${server.url}/d/closed-${code}-${token ?? ''}${fragment}`);
    await page.getByTestId('editor').waitFor();
    await sockets[0]?.close({ code, reason });
    const banner = page.getByTestId('closed-banner');
    await banner.waitFor();
    const offered = {
      reload: await banner.getByRole('button', { name: 'Reload the page' }).count(),
    };
    expect(offered, `${code} ${reason}`).toEqual({ reload: Number(reload) });
    expect(await banner.getByRole('link', { name: 'Go to your documents' }).count()).toBe(
      Number(!reload),
    );
    await page.close();
  }
});

test('[DEMO-12] a document is downloaded as Markdown, HTML and JSON', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  const scripts: string[] = [];
  ada.page.on('request', (request) => scripts.push(request.url()));
  await ada.editor.focus();
  const tasks =
    '<ul data-type="taskList"><li data-type="taskItem" data-checked="true"><div><p>done</p></div></li></ul>';
  await paste(ada, {
    'text/html': `<h1>Plan: A/B</h1><p>a <strong>bold</strong> word</p>${tasks}<table><tr><th>Name</th></tr><tr><td>Ruth</td></tr></table><img src="${PIXEL}" alt="dot"><p>end</p>`,
  });
  await ada.editor.getByText('end').waitFor();
  const open = ada.page.getByRole('button', { name: 'Download' });
  const contents: Record<string, string> = {};
  for (const form of ['JSON', 'HTML', 'Markdown']) {
    // The keyboard does all of it.
    await open.focus();
    await ada.page.keyboard.press('Enter');
    const item = ada.page
      .getByRole('dialog', { name: 'Download as' })
      .getByRole('button', { name: form });
    await item.focus();
    if (form === 'Markdown') expect(scripts).toEqual([]);
    const downloading = ada.page.waitForEvent('download');
    await ada.page.keyboard.press('Enter');
    const file = await downloading;
    contents[file.suggestedFilename()] = await readFile(await file.path(), 'utf8');
  }
  expect(Object.keys(contents)).toEqual(['Plan A B.json', 'Plan A B.html', 'Plan A B.md']);
  const markdown = contents['Plan A B.md'] ?? '';
  for (const part of [
    '# Plan: A/B',
    'a **bold** word',
    '- [x] done',
    '| Ruth',
    '![dot](data:image/png',
  ])
    expect(markdown).toContain(part);
  expect(contents['Plan A B.html']).toContain('<title>Plan: A/B</title>');
  expect(contents['Plan A B.html']).toContain('<strong>bold</strong>');
  expect(JSON.parse(contents['Plan A B.json'] ?? '').content[0].type).toBe('heading');
});
