/**
 * The line under the header when something stands between the page and the server: no connection,
 * a refusal for good, or a change that was not accepted.
 */
import type {
  CowriteProvider,
  CowriteProviderEvents,
  RefusalReason,
  RejectReason,
} from '@cowrite/client';
import { base } from '../base.js';
import { h } from '../dom.js';
import { type IconName, icon } from '../icons.js';
import type { Integrity } from './integrity.js';
import type { Outage } from './outage.js';

type Rejected = CowriteProviderEvents['rejected'];

interface Notice {
  readonly kind: 'apart' | 'offline' | 'closed' | 'refused' | 'reading';
  readonly icon: IconName;
  readonly text: string;
}

export interface BannerParts {
  readonly provider: CowriteProvider;
  readonly integrity: Integrity;
  readonly outage: Outage;
  /** Whether this tab brings a token of its own, which a reload brings again. */
  readonly hasToken: boolean;
  /** Whether this browser keeps a copy, which a reload shows again. */
  readonly hasCopy: boolean;
}

export function banner(parts: BannerParts): HTMLElement {
  const { provider, integrity, outage } = parts;
  const element = h('div', { class: 'banner' });
  element.hidden = true;
  let lastKind: Notice['kind'] | undefined;
  /** The last change that was refused, until there is another change. */
  let rejected: Rejected | undefined;
  let ticks: number | undefined;

  const next = h('span', { class: 'banner-next' });
  const tryNow = h('button', { type: 'button', class: 'button' }, 'Try now');
  tryNow.addEventListener('click', () => provider.connect());
  const reload = h('button', { type: 'button', class: 'button' }, 'Reload the page');
  reload.addEventListener('click', async () => {
    // The copy holds what was refused as well, and would show it again.
    if (rejected?.isTakenBack === false) await provider.clearOffline();
    location.reload();
  });

  const countDown = () => {
    const { nextRetryAt, status } = provider;
    const seconds = nextRetryAt ? Math.ceil((nextRetryAt.getTime() - Date.now()) / 1000) : 0;
    next.textContent =
      status === 'connecting' || status === 'syncing' || seconds < 1
        ? 'Trying now…'
        : `Next try in ${seconds} s`;
    tryNow.disabled = status === 'connecting' || status === 'syncing';
  };

  const show = () => {
    const notice = integrity.isApart
      ? APART
      : noticeFor(provider, { isOut: outage.isOut, rejected });
    if (notice?.kind !== lastKind) {
      lastKind = notice?.kind;
      element.hidden = !notice;
      clearInterval(ticks);
      if (notice) fill(notice);
      if (notice?.kind === 'offline') ticks = window.setInterval(countDown, 500);
    }
    if (notice?.kind === 'offline') countDown();
  };

  const fill = (notice: Notice) => {
    element.dataset.kind = notice.kind;
    element.dataset.testid = `${notice.kind}-banner`;
    const text = h(
      'p',
      { role: notice.kind === 'offline' || notice.kind === 'reading' ? 'status' : 'alert' },
      notice.text,
    );
    element.replaceChildren(icon(notice.icon), text);
    if (notice.kind === 'offline') element.append(next, tryNow);
    const isStale = notice.kind === 'refused' && !rejected?.isTakenBack;
    const isClosed = notice.kind === 'closed';
    if (notice.kind === 'apart' || isStale || (isClosed && reloadHelps(parts))) {
      element.append(reload);
    } else if (isClosed && provider.ready) {
      element.append(h('a', { class: 'button', href: base }, 'Go to your documents'));
    }
  };

  integrity.onApart(show);
  outage.onChange(show);
  provider.on('status', show);
  provider.on('loaded', show);
  provider.on('rejected', (event) => {
    rejected = event;
    show();
  });
  provider.on('access', show);
  provider.on('unsaved', (unsaved) => {
    if (unsaved && rejected?.isTakenBack) rejected = undefined;
    show();
  });
  show();
  return element;
}

const APART: Notice = {
  kind: 'apart',
  icon: 'stop',
  text: 'This page does not show the document as it is any more, and what you typed last may not be in it. Copy what you need before you reload this page.',
};

function noticeFor(
  provider: CowriteProvider,
  {
    isOut,
    rejected,
  }: {
    readonly isOut: boolean;
    readonly rejected: Rejected | undefined;
  },
): Notice | undefined {
  if (provider.refusal) {
    const kept = provider.unsaved
      ? ' What you wrote last is not saved: copy it before you leave this page.'
      : '';
    const { reason, message } = provider.refusal;
    const text =
      reason === 'forbidden'
        ? shownOut(message)
        : reason === 'token' && !provider.ready
          ? NOT_LET_IN
          : isReplaced(provider)
            ? REPLACED
            : CLOSED[reason];
    return { kind: 'closed', icon: 'stop', text: text + kept };
  }
  if (isOut) {
    const text = provider.ready
      ? 'Offline. Your changes are kept here and will be saved when the connection is back.'
      : 'The server cannot be reached. The document opens as soon as the connection is there.';
    return { kind: 'offline', icon: 'offline', text };
  }
  if (rejected) {
    const { reason, isTakenBack } = rejected;
    const what = isTakenBack
      ? 'Your last change was not saved, and is taken back.'
      : 'What you wrote last is not saved, and nobody else sees it: copy it before you reload this page.';
    return { kind: 'refused', icon: 'lock', text: `${REFUSED[reason]} ${what}` };
  }
  if (provider.access === 'read') {
    return { kind: 'reading', icon: 'lock', text: 'You can read this document but not change it.' };
  }
  return undefined;
}

const REFUSED: Readonly<Record<RejectReason, string>> = {
  'read-only': 'You can read this document but not change it.',
  'document-too-large': 'This document has reached its largest size.',
  'too-deep': 'That lies deeper in lists or other blocks than a document may go.',
  'message-too-large': 'That was more than the server takes at once.',
};

/** @param reason as the server gives it, which may be what somebody wrote for the reader */
function shownOut(reason: string): string {
  return `You do not have access to this document.${reason && ` The reason given: “${reason}”.`}`;
}

function isReplaced({ refusal }: CowriteProvider): boolean {
  return refusal?.reason === 'deleted' && refusal.message.startsWith('another');
}

/** Whether the same page, loaded again, can come to anything else than the same refusal. */
function reloadHelps({ provider, hasToken, hasCopy }: BannerParts): boolean {
  switch (provider.refusal?.reason) {
    case 'protocol':
    case 'conflict':
      return true;
    case 'token':
      // Without one, a cookie says who this is, and may have been renewed.
      return !hasToken;
    case 'forbidden':
      // Shown out, and free to come back; never let in, nothing has changed.
      return provider.ready;
    case 'deleted':
      return isReplaced(provider);
    case 'too-large':
      return provider.unsaved && !hasCopy;
    default:
      return false;
  }
}

const NOT_LET_IN =
  'The server does not let you into this document. It may need another link, with access for you.';

const REPLACED = 'Another document has taken the place of this one.';

const CLOSED: Readonly<Record<Exclude<RefusalReason, 'forbidden'>, string>> = {
  protocol: 'This page and the server do not understand each other. Reloading usually helps.',
  token: 'Your access has expired. Open the document from a new link to go on.',
  deleted: 'This document was deleted.',
  conflict:
    'Something else on another page has the same number as this one. Copy what you wrote last, then reload this page.',
  'too-large': 'This document, or what you wrote last, is larger than the server takes.',
};
