/** Where the caret is in an editor of ProseMirror's, and what is written there. */
import type { Locator, Page } from 'playwright';
import { type Selected, selectionIn } from './demo-page.js';
import { eventually } from './eventually.js';

/**
 * ProseMirror hears of a moved caret a moment later, and puts the caret back when somebody else's
 * change comes first. So this looks where it is after that moment, and may have to try again.
 */
export async function pressUntil(
  editor: Locator,
  keys: readonly string[],
  holds: (at: Selected) => boolean,
): Promise<void> {
  await eventually(async () => {
    await editor.focus();
    for (const key of keys) await editor.page().keyboard.press(key);
    return holds(await editor.evaluate(selectionIn));
  }).toBe(true);
}

/**
 * Whole lines, as a keyboard on a screen or one for Chinese enters them: a key at a time costs ten
 * times as much, and has tests of its own.
 */
export async function enter({ keyboard }: Page, text: string): Promise<void> {
  for (const [place, line] of text.split('\n').entries()) {
    if (place > 0) await keyboard.press('Enter');
    if (line !== '') await keyboard.insertText(line);
  }
}
