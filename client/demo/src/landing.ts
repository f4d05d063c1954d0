/** The first page: what this is, a new document, an existing one, and those opened before. */
import { h } from './dom.js';
import { siteHeader } from './header.js';
import { icon } from './icons.js';
import { forgetDocument, type RecentDocument, recentDocuments } from './recent.js';
import { pathOf, roomFromInput } from './rooms.js';
import { randomRoom } from './words.js';
import './styles/landing.css';

export function landingPage(root: HTMLElement): void {
  document.title = 'Cowrite';
  root.replaceChildren(
    siteHeader(),
    h(
      'main',
      { class: 'landing' },
      h(
        'section',
        { class: 'hero' },
        h(
          'div',
          { class: 'pitch' },
          h('h1', {}, 'Write it together.', h('span', { class: 'headline-caret' })),
          h(
            'p',
            { class: 'lead' },
            'A page that everyone with the link can write on at once, and that says “Saved” only when every word is on disk.',
          ),
          newDocumentButton(),
          openForm(),
        ),
        picture(),
      ),
      recentSection(),
    ),
  );
}

function newDocumentButton(): HTMLElement {
  const button = h(
    'button',
    { type: 'button', class: 'button primary large' },
    icon('plus'),
    'New document',
  );
  button.addEventListener('click', () => location.assign(pathOf(randomRoom())));
  return button;
}

function openForm(): HTMLElement {
  const input = h('input', {
    id: 'open-name',
    class: 'field',
    type: 'text',
    name: 'document',
    placeholder: 'amber-fox-4821',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    'aria-describedby': 'open-error',
  });
  const error = h('p', { id: 'open-error', class: 'field-error', role: 'alert' });
  const form = h(
    'form',
    { class: 'open-form', novalidate: true },
    h('label', { for: 'open-name' }, 'Or open one by its name or link'),
    h('div', { class: 'open-row' }, input, h('button', { class: 'button' }, 'Open')),
    error,
  );
  input.addEventListener('input', () => {
    error.textContent = '';
    input.removeAttribute('aria-invalid');
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const room = roomFromInput(input.value);
    if (room !== undefined) {
      location.assign(pathOf(room));
      return;
    }
    error.textContent = input.value.trim()
      ? 'That is not a document’s name or link. Names have letters, digits, dots, hyphens and underscores, and slashes between them.'
      : 'Type a document’s name, or paste a link to it.';
    input.setAttribute('aria-invalid', 'true');
    input.focus();
  });
  return form;
}

/** The product at a glance. It holds nothing that the text beside it does not say. */
function picture(): HTMLElement {
  const caret = (name: string, which: string) =>
    h('span', { class: `picture-caret ${which}` }, h('span', {}, name));
  return h(
    'div',
    { class: 'picture', 'aria-hidden': 'true' },
    h(
      'div',
      { class: 'picture-bar' },
      h('span', { class: 'picture-saved' }, icon('saved'), 'Saved'),
      h(
        'span',
        { class: 'picture-people' },
        h('i', { class: 'one' }, 'AL'),
        h('i', { class: 'two' }, 'GH'),
        h('i', { class: 'three' }, 'RS'),
      ),
    ),
    h('p', { class: 'picture-title' }, 'Opening night'),
    h(
      'p',
      {},
      h('mark', { class: 'three' }, 'The quartet plays'),
      caret('Ruth', 'three'),
      ' in the foyer until the first bell. Everyone on the list has a seat.',
    ),
    h('p', { class: 'picture-heading' }, 'Still to do'),
    h(
      'ul',
      {},
      h('li', {}, 'Print the programme', caret('Ada', 'one')),
      h('li', {}, 'Ask the baker about Thurs', caret('Grace', 'two')),
    ),
  );
}

function recentSection(): HTMLElement {
  const section = h('section', { class: 'recent', 'aria-labelledby': 'recent-title' });
  const show = () => {
    const documents = recentDocuments();
    section.replaceChildren(
      h('h2', { id: 'recent-title' }, 'Recent documents'),
      documents.length === 0 ? emptyState() : h('ul', {}, ...documents.map(item)),
    );
  };
  const item = (recent: RecentDocument) => {
    const title = recent.title || 'Untitled';
    const forget = h(
      'button',
      {
        type: 'button',
        class: 'icon-button recent-forget',
        'aria-label': `Remove ${title} from this list`,
        'data-tip': 'Remove from this list',
      },
      icon('close'),
    );
    forget.addEventListener('click', () => {
      forgetDocument(recent.room);
      show();
      const next = section.querySelector('a');
      next?.focus();
    });
    return h(
      'li',
      {},
      h(
        'a',
        { href: pathOf(recent.room) },
        icon('page'),
        h(
          'span',
          { class: 'recent-text' },
          h('span', { class: recent.title ? 'recent-name' : 'recent-name untitled' }, title),
          h(
            'span',
            { class: 'recent-room' },
            recent.room,
            ' · ',
            h(
              'time',
              { datetime: new Date(recent.openedAt).toISOString() },
              timeAgo(recent.openedAt, Date.now()),
            ),
          ),
        ),
      ),
      forget,
    );
  };
  show();
  // The list is stale when the browser shows a kept page on “back”.
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) show();
  });
  return section;
}

function emptyState(): HTMLElement {
  return h(
    'div',
    { class: 'recent-empty' },
    icon('page'),
    h('p', {}, 'Documents you open in this browser are listed here.'),
  );
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
];

function timeAgo(then: number, now: number): string {
  const elapsed = now - then;
  if (elapsed > 7 * 86_400_000) {
    return new Date(then).toLocaleDateString('en', { day: 'numeric', month: 'short' });
  }
  for (const [unit, length] of UNITS) {
    if (elapsed >= length) {
      return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(
        -Math.floor(elapsed / length),
        unit,
      );
    }
  }
  return 'just now';
}
