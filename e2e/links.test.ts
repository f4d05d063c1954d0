/** Addresses that come out of a document, which anybody may have put there without an editor. */
import { CowriteProvider } from '@cowrite/client';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { Server, sharedServer, Tab } from './fixtures.js';

const UNSAFE = [
  'javascript:top.ran=1',
  'JavaScript:top.ran=1',
  ' \u0001javascript:top.ran=1',
  'java\nscript:top.ran=1',
  'data:text/html,<script>opener.ran=1</script>',
  'vbscript:x',
  'file:///etc/passwd',
  'blob:null/x',
  'view-source:https://example.com',
  'https://',
];
const SAFE = ['https://example.com/a?b#c', 'mailto:ada@example.com', 'tel:+1', '/d/another'];

async function write(server: Server, fill: (paragraph: (text: Y.XmlText) => void) => void) {
  const provider = new CowriteProvider({
    url: `${server.url}/ws`,
    room: 'minutes',
    WebSocket,
  });
  onTestFinished(() => provider.destroy());
  await provider.whenSynced();
  const fragment = provider.doc.getXmlFragment('default');
  fill((text) => {
    const paragraph = new Y.XmlElement('paragraph');
    paragraph.insert(0, [text]);
    fragment.push([paragraph]);
  });
  await provider.whenSaved();
}

test('[E2E-30] of a document’s links only addresses that run nothing are shown, opened and made', async () => {
  const server = await Server.start();
  const odd = { target: '_self', rel: 'opener', class: 'skip-link' };
  await write(server, (add) => {
    for (const [i, href] of [...UNSAFE, ...SAFE, 7, { x: 1 }].entries()) {
      const text = new Y.XmlText();
      text.insert(0, `link${i}`, { link: { href, ...odd } });
      add(text);
    }
  });
  const ada = await Tab.open(server);
  await ada.page.getByText(`link${UNSAFE.length + SAFE.length + 1}`).waitFor();
  const links = await ada.editor
    .locator('a')
    .evaluateAll((all) =>
      all.map((link) => [
        ...['href', 'target', 'rel'].map((name) => link.getAttribute(name)),
        link.className,
      ]),
    );
  const rel = 'noopener noreferrer nofollow';
  expect(links.filter(([href]) => href !== null)).toEqual(
    SAFE.map((href) => [href, '_blank', rel, '']),
  );
  expect(links.length).toBe(UNSAFE.length + SAFE.length + 2);
  for (const [, , , className] of links) expect(className).toBe('');

  // Neither by a click nor by what the popover offers.
  const pages: string[] = [];
  ada.page.context().on('page', (page) => pages.push(page.url()));
  const popover = ada.page.getByRole('dialog', { name: 'Link' });
  const openPopover = async (text: string) => {
    await ada.editor.getByText(text, { exact: true }).click({ modifiers: ['ControlOrMeta'] });
    await ada.editor.getByText(text, { exact: true }).dblclick();
    await ada.page.keyboard.press('ControlOrMeta+k');
    await ada.page.getByLabel('Link address').waitFor();
  };
  const open = ada.page.getByRole('link', { name: 'Open' });
  for (const i of [0, 3, 4]) {
    await openPopover(`link${i}`);
    expect(await open.count(), UNSAFE[i]).toBe(0);
    await ada.page.getByLabel('Link address').fill(UNSAFE[i]!);
    await ada.page.keyboard.press('Enter');
    await ada.page.getByText('This cannot be a link.').waitFor();
    await ada.page.keyboard.press('Escape');
  }
  await openPopover(`link${UNSAFE.length}`);
  expect(await open.getAttribute('href')).toBe(SAFE[0]);
  await eventually(() => pages.length).toBe(1);
  expect(await ada.page.evaluate(() => 'ran' in window)).toBe(false);
  expect(await popover.count()).toBeLessThanOrEqual(1);

  // Nor by what is pasted.
  await ada.page.keyboard.press('Escape');
  await ada.moveTo('end');
  await ada.editor.evaluate(
    (editor, addresses) => {
      const data = new DataTransfer();
      data.setData('text/html', addresses.map((href) => `<a href="${href}">pasted</a>`).join(' '));
      editor.dispatchEvent(
        new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
      );
    },
    UNSAFE.slice(0, 2),
  );
  await ada.page.getByText('pasted pasted').waitFor();
  expect(await ada.editor.locator('a', { hasText: 'pasted' }).count()).toBe(0);
});

test('[E2E-30] the demo’s policy lets what is pasted say by its styles what is bold', async () => {
  const server = await sharedServer();
  const ada = await Tab.open(server);
  await ada.editor.focus();
  await ada.editor.evaluate((editor) => {
    const data = new DataTransfer();
    // As Google Docs wraps all that it copies.
    const html = '<b style="font-weight:normal">plain <i style="font-weight:700">bold</i></b>';
    data.setData('text/html', html);
    editor.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
    );
  });
  await eventually(() => ada.words()).toEqual(['plain', 'bold']);
  expect(await ada.editor.locator('strong').allTextContents()).toEqual(['bold']);
});

test('[E2E-30] the demo runs and loads nothing but its own, and frames nothing of the administrator’s', async () => {
  const server = await Server.start(undefined, {
    STORAGE_URL: 'memory:',
    ADMIN_TOKEN: 'x'.repeat(32),
  });
  const elsewhere = await Server.start();
  const page = await (await openBrowser()).newPage();
  await page.goto(`${server.url}/d/minutes`);
  await page.getByTestId('editor').waitFor();
  const tried = await page.evaluate(async (other) => {
    const blocked: string[] = [];
    document.addEventListener('securitypolicyviolation', (event) =>
      blocked.push(event.effectiveDirective),
    );
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.head.append(script);
    const link = document.createElement('a');
    link.href = 'javascript:window.ran = true';
    document.body.append(link);
    link.click();
    const answer = await fetch(other).then(
      () => 'answered',
      () => 'blocked',
    );
    const frame = document.createElement('iframe');
    frame.src = '/admin';
    document.body.append(frame);
    await new Promise((resolve) => setTimeout(resolve, 0));
    while (blocked.length < 4) await new Promise((resolve) => requestAnimationFrame(resolve));
    return { answer, ran: 'ran' in window, blocked: blocked.sort() };
  }, `${elsewhere.url}/health`);
  expect(tried).toEqual({
    answer: 'blocked',
    ran: false,
    blocked: ['connect-src', 'frame-src', 'script-src-elem', 'script-src-elem'],
  });
});
