/** People in one document at once: what one of them does, the others see. */
import { describe, expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { converged, sharedServer, Tab } from './fixtures.js';

describe('typing', () => {
  test('[E2E-1] two tabs type at once and end with the same text', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    await ada.write('Both of us write here:');
    await eventually(() => grace.html()).toBe('<p>Both of us write here:</p>');

    const ours = Array.from({ length: 8 }, (_, index) => `ada${index}`);
    const theirs = Array.from({ length: 8 }, (_, index) => `grace${index}`);
    await grace.write('\n');
    await eventually(() => ada.html()).toMatch(/<p><\/p>$/);
    await ada.moveTo('end of the first line');
    await Promise.all([
      ada.page.keyboard.type(` ${ours.join(' ')}`),
      grace.page.keyboard.type(theirs.join(' ')),
    ]);

    const all = ['Both', 'of', 'us', 'write', 'here:', ...ours, ...theirs];
    await eventually(() => ada.words()).toEqual(all);
    await eventually(() => grace.words()).toEqual(all);
    await converged(ada, grace);
  });

  test('[E2E-1] two tabs type at the same place: nothing is lost, and both show the same', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    await ada.write(':');
    await eventually(() => grace.words()).toEqual([':']);
    await Promise.all([ada.moveTo('end'), grace.moveTo('end')]);
    await Promise.all([
      ada.page.keyboard.type('a'.repeat(30)),
      grace.page.keyboard.type('g'.repeat(30)),
    ]);

    const letters = `:${'a'.repeat(30)}${'g'.repeat(30)}`;
    for (const tab of [ada, grace]) {
      await eventually(async () => [...(await tab.words()).join('')].sort().join('')).toBe(letters);
    }
    await converged(ada, grace);
  });

  test('[E2E-1] two tabs of one browser converge as well', async () => {
    const server = await sharedServer();
    const browser = await openBrowser();
    const first = await Tab.open(server, { name: 'Ada', browser });
    const second = await Tab.open(server, { name: 'Grace', browser });
    await first.write('first ');
    await eventually(() => second.words()).toEqual(['first']);
    await second.write('second');
    await eventually(() => first.words()).toEqual(['first', 'second']);
    await converged(first, second);
  });

  test('[E2E-9] 2,000 pasted words arrive in the other tab', async () => {
    const server = await sharedServer();
    const browser = await openBrowser({ permissions: ['clipboard-read', 'clipboard-write'] });
    const ada = await Tab.open(server, { name: 'Ada', browser });
    const grace = await Tab.open(server, { name: 'Grace' });
    const words = Array.from({ length: 2000 }, (_, index) => `word${index}`);
    const lines = Array.from({ length: 40 }, (_, line) =>
      words.slice(line * 50, (line + 1) * 50).join(' '),
    );
    await ada.page.evaluate((text) => navigator.clipboard.writeText(text), lines.join('\n\n'));
    await ada.moveTo('end');
    await ada.page.keyboard.press('ControlOrMeta+v');

    await eventually(() => ada.words()).toEqual(words);
    await eventually(() => grace.words()).toEqual(words);
    await converged(ada, grace);
  });
});

describe('people', () => {
  test('[E2E-2] carets and names appear in the other tab, move, and leave with their tab', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    await eventually(() => ada.people()).toEqual(['Ada', 'Grace']);
    await eventually(() => grace.people()).toEqual(['Grace', 'Ada']);

    await ada.write('The first bell');
    await eventually(() => grace.carets()).toEqual({ Ada: 'The first bell' });
    await ada.moveTo('start');
    await eventually(() => grace.carets()).toEqual({ Ada: '' });
    await grace.moveTo('end');
    await eventually(() => ada.carets()).toEqual({ Grace: 'The first bell' });
    await ada.select('ControlOrMeta+a', 'The first bell');
    const selection = grace.editor.locator('.collaboration-carets__selection');
    await eventually(() => selection.allTextContents()).toEqual(['The first bell']);

    await ada.page.close();
    await eventually(() => grace.people()).toEqual(['Grace']);
    await eventually(() => grace.carets()).toEqual({});
    expect(await grace.words()).toEqual(['The', 'first', 'bell']);
  });

  test('[E2E-2] a tab whose process dies takes its caret with it', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    await ada.write('still here');
    await eventually(() => grace.carets()).toEqual({ Ada: 'still here' });

    const crashed = ada.page.waitForEvent('crash');
    // The navigation fails with the tab: as aborted or as crashed, whichever is noticed first.
    await expect(ada.page.goto('chrome://crash')).rejects.toThrow();
    await crashed;
    await eventually(() => grace.people()).toEqual(['Grace']);
    await eventually(() => grace.carets()).toEqual({});
  });

  test('[E2E-2] who changes their name is called so in the other tab, in the bar and at the caret', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    await ada.write('x');
    await eventually(() => grace.carets()).toEqual({ Ada: 'x' });
    await ada.page.getByRole('button', { name: /\(you\)/ }).click();
    await ada.page.getByLabel('Your name').fill('Countess');
    await eventually(() => grace.people()).toEqual(['Grace', 'Countess']);
    await ada.page.keyboard.press('Escape');
    await ada.moveTo('end');
    await eventually(() => grace.carets()).toEqual({ Countess: 'x' });
  });
});

describe('the document', () => {
  test('[E2E-3] a tab opened later shows everything, whether or not the others are still there', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    await ada.write('Agenda');
    await ada.page.keyboard.press('ControlOrMeta+Alt+1');
    await ada.page.keyboard.type('\nWe begin.');
    await eventually(() => grace.words()).toEqual(['Agenda', 'We', 'begin.']);
    await grace.write(' We end.');
    const everything = '<h1>Agenda</h1><p>We begin. We end.</p>';
    await eventually(() => ada.html()).toBe(everything);

    const later = await Tab.open(server, { name: 'Ruth' });
    expect(await later.html()).toBe(everything);
    await eventually(() => later.people()).toEqual([
      'Ruth',
      ...['Ada', 'Grace'].map(() => expect.any(String)),
    ]);

    for (const tab of [ada, grace, later]) await tab.page.close();
    const last = await Tab.open(server, { name: 'Edith' });
    expect(await last.html()).toBe(everything);
    await eventually(() => last.people()).toEqual(['Edith']);
  });

  test('[E2E-3] rooms are apart: another document stays empty', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada', room: 'one' });
    await ada.write('only here');
    await eventually(() => ada.status.getAttribute('data-state')).toBe('saved');
    const grace = await Tab.open(server, { name: 'Grace', room: 'two' });
    expect(await grace.words()).toEqual([]);
    expect(await grace.people()).toEqual(['Grace']);
  });

  test('[E2E-7] undo and redo touch one’s own changes only', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    await ada.write('Ada-wrote-this');
    await eventually(() => grace.words()).toEqual(['Ada-wrote-this']);
    await grace.write('\nGrace-wrote-that');
    await eventually(() => ada.words()).toEqual(['Ada-wrote-this', 'Grace-wrote-that']);

    await ada.page.keyboard.press('ControlOrMeta+z');
    await eventually(() => grace.words()).toEqual(['Grace-wrote-that']);
    expect(await ada.words()).toEqual(['Grace-wrote-that']);
    // Nothing of hers is left to undo, and what Grace wrote is not hers to take back.
    await eventually(() =>
      ada.page.getByRole('button', { name: 'Undo' }).getAttribute('aria-disabled'),
    ).toBe('true');
    await ada.page.keyboard.press('ControlOrMeta+z');
    await ada.page.keyboard.press('ControlOrMeta+Shift+z');
    await eventually(() => grace.words()).toEqual(['Ada-wrote-this', 'Grace-wrote-that']);

    await grace.page.getByRole('button', { name: 'Undo' }).click();
    await eventually(() => ada.words()).toEqual(['Ada-wrote-this']);
    await converged(ada, grace);
  });

  test('[E2E-8] bold, headings and lists are the same in both tabs', async () => {
    const server = await sharedServer();
    const ada = await Tab.open(server, { name: 'Ada' });
    const grace = await Tab.open(server, { name: 'Grace' });
    const tool = (tab: Tab, name: string) => tab.page.getByRole('button', { name, exact: true });

    await tool(ada, 'Heading 1').click();
    await ada.page.keyboard.type('Opening night\nEveryone ');
    await ada.page.keyboard.press('ControlOrMeta+b');
    await ada.page.keyboard.type('must');
    await ada.page.keyboard.press('ControlOrMeta+b');
    await ada.page.keyboard.type(' come.');
    const text = '<h1>Opening night</h1><p>Everyone <strong>must</strong> come.</p>';
    await eventually(() => grace.html()).toBe(text);
    await grace.write('\n');
    await tool(grace, 'Bullet list').click();
    await grace.page.keyboard.type('programme\nbaker');
    const list = '<ul><li><p>programme</p></li><li><p>baker</p></li></ul>';
    for (const tab of [ada, grace]) await eventually(() => tab.html()).toBe(text + list);

    // At once, in two blocks: a block whose kind changes is a new one to the document.
    await grace.select('Shift+Home', 'baker');
    await ada.moveTo('start');
    await Promise.all([tool(grace, 'Bold').click(), tool(ada, 'Heading 2').click()]);
    const changed = (text + list)
      .replaceAll('h1>', 'h2>')
      .replace('<p>baker</p>', '<p><strong>baker</strong></p>');
    for (const tab of [ada, grace]) await eventually(() => tab.html()).toBe(changed);
  });
});
