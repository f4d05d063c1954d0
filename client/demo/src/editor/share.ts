/** The button that opens the share dialog, which comes when it is first opened. */
import type { CowriteProvider } from '@cowrite/client';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { lazily } from './lazy.js';
import type { Notice } from './notice.js';

export interface ShareParts {
  readonly room: string;
  /** Empty where this tab has none. */
  readonly token: string;
  readonly provider: CowriteProvider;
  readonly notice: Notice;
}

export function shareButton(parts: ShareParts): HTMLElement {
  const button = h(
    'button',
    {
      type: 'button',
      class: 'icon-button',
      'aria-label': 'Share',
      'aria-haspopup': 'dialog',
      'data-tip': 'Share',
    },
    icon('share'),
  );
  const load = lazily('The share dialog', parts.notice, () => import('./share-dialog.js'));
  button.addEventListener('click', async () => (await load())?.openShareDialog(parts));
  return button;
}
