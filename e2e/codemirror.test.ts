/** The client with another editor: CodeMirror through y-codemirror.next, unchanged. */
import type { Page } from 'playwright';
import { expect, test } from 'vitest';
import { buildPage, linesOf, openPage } from './codemirror-page.js';
import { eventually } from './eventually.js';
import { Server } from './fixtures.js';

/** CodeMirror, too, hears of a moved caret a moment later; this looks where it is after that. */
async function moveTo(page: Page, place: 'start' | 'end'): Promise<void> {
  await eventually(async () => {
    await page.keyboard.press(place === 'end' ? 'ControlOrMeta+End' : 'ControlOrMeta+Home');
    return await page.locator('.cm-content').evaluate(async (content, end) => {
      for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame);
      const selection = getSelection();
      const line = end ? content.lastElementChild : content.firstElementChild;
      if (!selection?.focusNode || !line?.contains(selection.focusNode)) return false;
      const rest = document.createRange();
      rest.selectNodeContents(line);
      if (end) rest.setStart(selection.focusNode, selection.focusOffset);
      else rest.setEnd(selection.focusNode, selection.focusOffset);
      const between = rest.cloneContents();
      for (const caret of between.querySelectorAll('.cm-ySelectionCaret')) caret.remove();
      return between.textContent === '';
    }, place === 'end');
  }).toBe(true);
}

const caretNames = (page: Page) => page.locator('.cm-ySelectionInfo').allTextContents();

test('[E2E-12] two tabs with CodeMirror converge, see each other’s carets, and outlive the server', async () => {
  const server = await Server.start(await buildPage());
  const ada = await openPage(server, 'Ada');
  const grace = await openPage(server, 'Grace');
  await ada.keyboard.type('const a = 1;\n');
  await eventually(() => linesOf(grace)).toEqual(['const a = 1;', '']);
  await eventually(() => caretNames(grace)).toEqual(['Ada']);

  await moveTo(grace, 'end');
  await grace.keyboard.type('const b = 2;');
  await moveTo(ada, 'start');
  await Promise.all([ada.keyboard.type('// ours\n'), grace.keyboard.type(' // theirs')]);
  const both = ['// ours', 'const a = 1;', 'const b = 2; // theirs'];
  for (const page of [ada, grace]) await eventually(() => linesOf(page)).toEqual(both);
  await eventually(() => caretNames(ada)).toEqual(['Grace']);

  await server.kill();
  await ada.keyboard.type('// meanwhile\n');
  await grace.keyboard.type(', still');
  await server.start();
  const after = ['// ours', '// meanwhile', 'const a = 1;', 'const b = 2; // theirs, still'];
  for (const page of [ada, grace]) await eventually(() => linesOf(page)).toEqual(after);

  await ada.keyboard.press('ControlOrMeta+z');
  await eventually(() => linesOf(grace)).not.toContain('// meanwhile');
  expect((await linesOf(grace)).at(-1)).toBe('const b = 2; // theirs, still');
  await ada.close();
  await eventually(() => caretNames(grace)).toEqual([]);
});
