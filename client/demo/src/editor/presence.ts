/** Who is here: avatars in the header, oneself first, and the panel that names everyone. */
import type { Awareness } from 'y-protocols/awareness';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import {
  COLOURS,
  initials,
  type Me,
  NAME_LENGTH,
  type Person,
  personFrom,
  textOn,
} from '../people.js';
import { popover } from '../popover.js';
import type { Following } from './following.js';

/** With more people than this the last place says how many there are besides. */
const SHOWN = 5;
const SHOWN_NARROW = 3;

/** Somebody who is here, in one tab or in several. */
interface Present {
  /** What stays the same while their tabs come and go. */
  readonly key: string;
  readonly person: Person;
  readonly isMe: boolean;
  /** One for each tab; of one's own the other ones. */
  readonly clientIds: readonly number[];
}

export function presence(
  awareness: Awareness,
  me: Me,
  goTo: (clientIds: readonly number[]) => void,
  following: Following,
): HTMLElement {
  const element = h('div', {
    class: 'people',
    role: 'group',
    'aria-label': 'People here',
    'data-testid': 'people',
  });
  const panel = peoplePanel(me, publish, goTo, following);
  const narrow = matchMedia('(max-width: 640px)');
  /** Kept by person, so that the focus stays where it is while others come and go. */
  const avatars = new Map<string, HTMLButtonElement>();
  /** Where somebody is: their tabs change while they stay. */
  const tabs = new Map<string, readonly number[]>();
  const more = h('button', { type: 'button', class: 'avatar more' });
  more.popoverTargetElement = panel.element;

  function publish(): void {
    awareness.setLocalStateField('user', { ...me.person, clientId: awareness.clientID });
  }

  const avatarOf = ({ key, person, isMe }: Present) => {
    let avatar = avatars.get(key);
    if (!avatar) {
      avatar = h('button', { type: 'button', class: 'avatar', 'data-testid': 'person' });
      if (isMe) avatar.popoverTargetElement = panel.element;
      else avatar.addEventListener('click', () => goTo(tabs.get(key) ?? []));
      avatars.set(key, avatar);
    }
    const label = isMe ? `${person.name} (you): name and colour` : person.name;
    avatar.textContent = initials(person.name);
    avatar.dataset.name = person.name;
    avatar.dataset.self = String(isMe);
    avatar.dataset.tip = isMe ? `${person.name} (you)` : person.name;
    avatar.setAttribute('aria-label', label);
    const isFollowed = key === following.key;
    avatar.toggleAttribute('data-followed', isFollowed);
    if (isFollowed) avatar.setAttribute('aria-description', 'You are following');
    else avatar.removeAttribute('aria-description');
    paint(avatar, person);
    return avatar;
  };

  let shownLast = '';
  const show = () => {
    const everyone = whoIsHere(awareness, me.person);
    // Awareness changes with every move of every caret, and few of them are about who is here.
    const now = JSON.stringify([everyone, narrow.matches, following.key]);
    if (now === shownLast) return;
    shownLast = now;
    const places = narrow.matches ? SHOWN_NARROW : SHOWN;
    const shown = everyone.length > places ? places - 1 : places;
    const hidden = everyone.slice(shown);
    for (const key of avatars.keys()) {
      if (everyone.some((present) => present.key === key)) continue;
      avatars.delete(key);
    }
    tabs.clear();
    for (const { key, clientIds } of everyone) tabs.set(key, clientIds);
    const followed = everyone.find(({ key }) => key === following.key);
    if (followed) following.update(followed.person, followed.clientIds);
    else following.left();
    const children = everyone.slice(0, shown).map(avatarOf);
    if (hidden.length > 0) {
      more.textContent = `+${hidden.length}`;
      more.dataset.tip = hidden.map(({ person }) => person.name).join(', ');
      more.setAttribute('aria-label', `${hidden.length} more: everyone here`);
      children.push(more);
    }
    place(element, [...children, panel.element]);
    panel.show(everyone);
  };

  awareness.on('change', () => {
    if (settleColour(awareness, me)) publish();
    show();
    following.follow();
  });
  narrow.addEventListener('change', show);
  following.onChange(show);
  me.onChangedElsewhere(() => {
    publish();
    show();
  });
  publish();
  show();
  return element;
}

/**
 * Two people have two colours, and one person has one in all tabs: the tab with the lowest client
 * id moves away from those before it, and the others follow it.
 *
 * @returns whether the colour changed
 */
function settleColour(awareness: Awareness, me: Me): boolean {
  const before = [...awareness.getStates()]
    .filter(([clientId, { user }]) => clientId < awareness.clientID && user !== undefined)
    .sort(([a], [b]) => a - b)
    .map(([, state]) => personFrom(state.user));
  const first = before.find(({ id }) => id !== undefined && id === me.person.id);
  if (first !== undefined) return me.adoptColour(first.color);
  return me.yieldColour(new Set(before.map(({ color }) => color)));
}

/** Everyone who has said who they are, oneself first, then by client so that nobody jumps about. */
function whoIsHere(awareness: Awareness, me: Person): Present[] {
  const own = awareness.clientID;
  const others = new Map<string, { person: Person; clientIds: number[] }>();
  const mine: number[] = [];
  for (const [clientId, state] of [...awareness.getStates()].sort(([a], [b]) => a - b)) {
    if (state.user === undefined || clientId === own) continue;
    const person = personFrom(state.user);
    if (person.id !== undefined && person.id === me.id) {
      mine.push(clientId);
      continue;
    }
    const key = person.id ?? `tab ${clientId}`;
    const known = others.get(key);
    if (known) known.clientIds.push(clientId);
    else others.set(key, { person, clientIds: [clientId] });
  }
  const rest = [...others].map(([key, present]) => ({ key, isMe: false, ...present }));
  if (awareness.getLocalState() === null) return rest;
  return [{ key: 'me', person: me, isMe: true, clientIds: mine }, ...rest];
}

/** Moves only what is in the wrong place: an element that is moved loses the focus. */
function place(parent: HTMLElement, children: readonly HTMLElement[]): void {
  for (const child of [...parent.children]) {
    if (!children.some((wanted) => wanted === child)) child.remove();
  }
  children.forEach((child, index) => {
    const current = parent.children[index];
    if (current !== child) parent.insertBefore(child, current ?? null);
  });
}

function paint(element: HTMLElement, { color }: Person): void {
  element.style.setProperty('--peer', color);
  element.style.setProperty('--on-peer', textOn(color));
}

function peoplePanel(
  me: Me,
  publish: () => void,
  goTo: (clientIds: readonly number[]) => void,
  following: Following,
): { readonly element: HTMLElement; show(everyone: readonly Present[]): void } {
  const element = popover('You and others here', 'end', () =>
    (element.parentElement ?? document.body).getBoundingClientRect(),
  );
  const name = h('input', {
    id: 'own-name',
    class: 'field',
    type: 'text',
    maxlength: NAME_LENGTH,
    autocomplete: 'nickname',
    spellcheck: 'false',
    readonly: me.isNamed,
    'aria-describedby': me.isNamed ? 'own-name-note' : undefined,
  });
  const swatches = COLOURS.map(({ label, value }) => {
    const input = h('input', { type: 'radio', name: 'own-colour', value, 'aria-label': label });
    input.style.setProperty('--peer', value);
    input.addEventListener('change', () => {
      me.pickColour(value);
      publish();
    });
    return input;
  });
  const form = h(
    'form',
    { class: 'own-form' },
    h('label', { for: 'own-name' }, 'Your name'),
    name,
    ...(me.isNamed
      ? [
          h(
            'p',
            { id: 'own-name-note', class: 'field-note' },
            'The link that you came with says your name.',
          ),
        ]
      : []),
    h('fieldset', {}, h('legend', {}, 'Your colour'), h('div', { class: 'swatches' }, ...swatches)),
  );
  const others = h('div', { class: 'others' });
  element.append(form, others);

  name.addEventListener('input', () => {
    me.rename(name.value);
    publish();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    element.hidePopover();
  });
  element.addEventListener('beforetoggle', (event) => {
    if (event.newState === 'open') name.value = me.person.name;
  });

  return {
    element,
    show(everyone) {
      for (const swatch of swatches) swatch.checked = swatch.value === me.person.color;
      const rows = everyone
        .filter(({ isMe, clientIds }) => !isMe || clientIds.length > 0)
        .map(({ key, person, isMe, clientIds }) => {
          const dot = h('span', { class: 'dot' });
          paint(dot, person);
          const tabs = clientIds.length > 1 ? `${clientIds.length} other tabs` : 'another tab';
          const label = isMe ? `${person.name} (you, ${tabs})` : person.name;
          const row = h('button', { type: 'button' }, dot, h('span', {}, label));
          row.addEventListener('click', () => {
            element.hidePopover();
            goTo(clientIds);
          });
          if (isMe) return h('li', {}, row);
          const isFollowed = key === following.key;
          const follow = h(
            'button',
            {
              type: 'button',
              class: 'follow',
              'aria-label': `Follow ${person.name}`,
              'aria-pressed': String(isFollowed),
              'data-tip': isFollowed ? 'Stop following' : 'Follow',
            },
            icon('follow'),
          );
          follow.addEventListener('click', () => {
            element.hidePopover();
            if (isFollowed) following.stop();
            else following.start({ key, person }, clientIds);
          });
          return h('li', {}, row, follow);
        });
      others.replaceChildren(
        h('h2', {}, 'Also here'),
        rows.length > 0
          ? h('ul', {}, ...rows)
          : h('p', {}, 'Nobody else yet. Copy the link and send it to somebody.'),
      );
    },
  };
}
