/** Who is here: avatars in the header, oneself first, and the panel that names everyone. */
import type { Awareness } from 'y-protocols/awareness';
import { h } from '../dom.js';
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

/** With more people than this the last place says how many there are besides. */
const SHOWN = 5;
const SHOWN_NARROW = 3;

interface Present {
  readonly clientId: number;
  readonly person: Person;
}

export function presence(
  awareness: Awareness,
  me: Me,
  goTo: (clientId: number) => void,
): HTMLElement {
  const element = h('div', {
    class: 'people',
    role: 'group',
    'aria-label': 'People here',
    'data-testid': 'people',
  });
  const panel = peoplePanel(awareness, me, publish, goTo);
  const narrow = matchMedia('(max-width: 640px)');
  /** Kept by person, so that the focus stays where it is while others come and go. */
  const avatars = new Map<number, HTMLButtonElement>();
  const more = h('button', { type: 'button', class: 'avatar more' });
  more.popoverTargetElement = panel.element;

  function publish(): void {
    awareness.setLocalStateField('user', { ...me.person, clientId: awareness.clientID });
  }

  const avatarOf = ({ clientId, person }: Present) => {
    const own = clientId === awareness.clientID;
    let avatar = avatars.get(clientId);
    if (!avatar) {
      avatar = h('button', { type: 'button', class: 'avatar', 'data-testid': 'person' });
      if (own) avatar.popoverTargetElement = panel.element;
      else avatar.addEventListener('click', () => goTo(clientId));
      avatars.set(clientId, avatar);
    }
    const label = own ? `${person.name} (you): name and colour` : person.name;
    avatar.textContent = initials(person.name);
    avatar.dataset.name = person.name;
    avatar.dataset.self = String(own);
    avatar.dataset.tip = own ? `${person.name} (you)` : person.name;
    avatar.setAttribute('aria-label', label);
    paint(avatar, person);
    return avatar;
  };

  let shownLast = '';
  const show = () => {
    const everyone = whoIsHere(awareness);
    // Awareness changes with every move of every caret, and few of them are about who is here.
    const now = JSON.stringify([everyone, narrow.matches]);
    if (now === shownLast) return;
    shownLast = now;
    const places = narrow.matches ? SHOWN_NARROW : SHOWN;
    const shown = everyone.length > places ? places - 1 : places;
    const hidden = everyone.slice(shown);
    for (const clientId of avatars.keys()) {
      if (!everyone.some((present) => present.clientId === clientId)) avatars.delete(clientId);
    }
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
    const before = [...awareness.getStates()].filter(([id]) => id < awareness.clientID);
    const taken = new Set(before.map(([, state]) => personFrom(state.user).color));
    if (me.yieldColour(taken)) publish();
    show();
  });
  narrow.addEventListener('change', show);
  publish();
  show();
  return element;
}

/** Everyone who has said who they are, oneself first, then by client so that nobody jumps about. */
function whoIsHere(awareness: Awareness): Present[] {
  const own = awareness.clientID;
  return [...awareness.getStates()]
    .filter(([, state]) => state.user !== undefined)
    .map(([clientId, state]) => ({ clientId, person: personFrom(state.user) }))
    .sort(
      (a, b) => Number(b.clientId === own) - Number(a.clientId === own) || a.clientId - b.clientId,
    );
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
  awareness: Awareness,
  me: Me,
  publish: () => void,
  goTo: (clientId: number) => void,
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
        .filter(({ clientId }) => clientId !== awareness.clientID)
        .map(({ clientId, person }) => {
          const dot = h('span', { class: 'dot' });
          paint(dot, person);
          const row = h('button', { type: 'button' }, dot, h('span', {}, person.name));
          row.addEventListener('click', () => {
            element.hidePopover();
            goTo(clientId);
          });
          return h('li', {}, row);
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
