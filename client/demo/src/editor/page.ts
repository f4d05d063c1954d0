/**
 * The page of one document: makes the document and its provider, and puts the parts together.
 * The editor comes only once the document is there, so an empty page is never shown for a full one;
 * its code, which is most of what the page needs, comes beside the document.
 */
import { CowriteProvider } from '@cowrite/client';
import { Doc } from 'yjs';
import { base } from '../base.js';
import { h } from '../dom.js';
import { mark } from '../icons.js';
import { Me } from '../people.js';
import { linkTo } from '../rooms.js';
import { themeButton } from '../theme.js';
import { claimsOf, takeToken, watchForToken } from '../token.js';
import { banner } from './banner.js';
import { peerCarets } from './carets.js';
import { copyLink } from './copy-link.js';
import { download } from './download.js';
import { Following } from './following.js';
import { Integrity } from './integrity.js';
import { Notice } from './notice.js';
import { Outage } from './outage.js';
import { presence } from './presence.js';
import { saveStatus } from './save-status.js';
import { shareButton } from './share.js';
import { noEditor, nothingHere, skeleton } from './skeleton.js';
import { toolbar } from './toolbar.js';
import '../styles/document.css';
import '../styles/toolbar.css';
import '../styles/people.css';

/** @param loading the editor, which comes while the page connects */
export function documentPage(
  root: HTMLElement,
  room: string,
  loading: Promise<typeof import('./open.js')>,
): void {
  const doc = new Doc();
  const token = takeToken();
  // Whose a token is, the demo does not know; a copy of what it opens is not for the next one.
  const offline = token === '';
  const provider = new CowriteProvider({ url: `${base}ws`, room, doc, token, offline });
  watchForToken();
  const me = Me.load(location.search, claimsOf(token));
  const carets = peerCarets(provider.awareness);
  const integrity = new Integrity();
  const outage = new Outage(provider);
  const said = { provider, integrity, outage, hasToken: token !== '', hasCopy: offline };
  const notice = new Notice();
  const files = download(notice);
  const header = h('header', { class: 'doc-header' });
  const following = new Following(carets, () => header.getBoundingClientRect());
  const share = shareButton({ room, token, provider, notice });
  const tools = toolbar();
  const title = h('span', { class: 'doc-title' }, room);
  const sheet = h('div', { class: 'sheet' }, skeleton());
  document.title = `${room} · Cowrite`;

  header.append(
    h(
      'div',
      { class: 'doc-bar' },
      h(
        'a',
        {
          class: 'home',
          href: base,
          'aria-label': 'Your documents',
          'data-tip': 'Your documents',
        },
        mark(),
      ),
      title,
      saveStatus(said),
      h('span', { class: 'spring' }),
      presence(provider.awareness, me, (clientIds) => carets.goTo(clientIds), following),
      share,
      files.element,
      themeButton(),
      copyLink(linkTo(room)),
    ),
    h('div', { class: 'tool-row' }, tools.element),
    banner(said),
  );
  root.replaceChildren(
    h('a', { class: 'skip-link', href: '#editor' }, 'Skip to the document'),
    header,
    h('main', { class: 'desk' }, sheet),
    h('div', { class: 'foot' }, following.element, notice.element),
  );

  const open = ({ openEditor }: typeof import('./open.js')) => {
    openEditor({
      room,
      doc,
      provider,
      carets,
      integrity,
      notice,
      tools,
      files,
      sheet,
      title,
      following,
    });
  };
  Promise.all([loading, provider.whenReady()]).then(
    ([code]) => open(code),
    async (error: unknown) => {
      // Without an editor there is a way on; without a document there is none.
      const hasDocument = await provider.whenReady().then(
        () => true,
        () => false,
      );
      if (hasDocument) console.error(error);
      sheet.replaceChildren(hasDocument ? noEditor() : nothingHere());
    },
  );
}
