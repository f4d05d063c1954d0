/** The administrator's page: figures, rooms, and one room to look into. */
import '../../demo/src/styles/tokens.css';
import '../../demo/src/styles/base.css';
import '../../demo/src/styles/controls.css';
import './styles/admin.css';
import { h } from '../../demo/src/dom.js';
import { Api, Refused, reasonOf, Unreachable } from './api.js';
import { backUp } from './backup.js';
import { base } from './base.js';
import { Failures } from './failures.js';
import { Figures } from './figures.js';
import { adminIcon } from './icons.js';
import { RoomList } from './list.js';
import { pageHeader, rootElement } from './page.js';
import { RoomView } from './room.js';
import { signIn } from './sign-in.js';
import { Tiles } from './tiles.js';
import { type Warning, Warnings, warningsOf } from './warnings.js';
import { timeOf } from './words.js';

/** Milliseconds from one look to the next. */
const EVERY_MS = 2_000;

const root = rootElement();

function start(api: Api): void {
  const stop = new AbortController();
  const figures = new Figures();
  const failures = new Failures();
  const tiles = new Tiles();
  const warnings = new Warnings();
  const isOver = (error: unknown): boolean => {
    if (!(error instanceof Refused && error.status === 401)) return false;
    if (!stop.signal.aborted) leave('The token is not good any more.');
    return true;
  };
  const list = new RoomList(api, isOver);
  const beside = h('div', { class: 'beside' });
  let view: RoomView | undefined;

  const leave = (why: string): void => {
    stop.abort();
    Api.forget();
    signIn(root, why, start);
  };
  const goToRoom = (): void => {
    const room = new URLSearchParams(location.hash.slice(1)).get('room') ?? undefined;
    list.select(room);
    view = room === undefined ? undefined : new RoomView(api, room, () => void list.look(), isOver);
    beside.replaceChildren(
      view?.element ??
        h(
          'p',
          { class: 'admin-card nothing-chosen' },
          'Choose a room to see who is in it, and what it holds.',
        ),
    );
    root.classList.toggle('has-room', view !== undefined);
    void view?.look();
  };
  const look = async (): Promise<void> => {
    if (document.hidden) return;
    // Each for itself: what reads from the store may wait for it long.
    const [health, measured] = await Promise.allSettled([api.readiness(), api.metrics()]);
    if (measured.status === 'fulfilled') {
      readAt = new Date();
      figures.look(measured.value, performance.now(), readAt);
      if (figures.last !== undefined) failures.look(figures.last);
      tiles.show(figures.all);
    } else if (isOver(measured.reason)) {
      return;
    }
    if (health.status === 'fulfilled') isEnding = health.value.draining;
    const found = health.status === 'fulfilled' ? health.value : undefined;
    const failed = [health, measured].find((each) => each.status === 'rejected');
    const high = figures.all.filter(({ level }) => level !== 'fine').map(({ label }) => label);
    warnings.show(
      [
        ...(found === undefined ? [] : warningsOf(found, figures.oldestUnsaved, figures.tooLarge)),
        ...(failed === undefined ? [] : [unread(failed.reason)]),
        ...failures.warnings(found?.store === 'ok'),
      ],
      // Old figures say nothing of now.
      measured.status === 'rejected' ? undefined : high,
    );
    tiles.element.classList.toggle('is-old', measured.status === 'rejected');
    void list.refresh(found?.store ?? 'away');
    void view?.refresh();
  };
  let readAt: Date | undefined;
  let isEnding = false;
  const unread = (error: unknown): Warning => {
    const since = readAt === undefined ? '.' : `; the figures are of ${timeOf(readAt)}.`;
    if (!(error instanceof Unreachable)) {
      return {
        text: `The figures could not be read: ${reasonOf(error)}`,
        more: since,
        isGrave: true,
      };
    }
    const text = isEnding
      ? 'This server was ending, and does not answer any more'
      : 'The server does not answer: it has ended, or the way to it is cut';
    return { text, more: since, isGrave: true, recipe: 'CowriteDown' };
  };

  const backup = h('button', { type: 'button', class: 'button' }, adminIcon('backup'), 'Back up…');
  backup.addEventListener('click', () => void backUp(api, isOver));
  const out = h('button', { type: 'button', class: 'button' }, 'Sign out');
  out.addEventListener('click', () => leave(''));
  root.replaceChildren(
    pageHeader(
      'Administration',
      backup,
      h('a', { class: 'button', href: `${base}api/docs` }, 'HTTP API'),
      out,
    ),
    h(
      'main',
      { class: 'admin' },
      warnings.element,
      tiles.element,
      h('div', { class: 'columns' }, list.element, beside),
    ),
  );
  window.addEventListener('hashchange', goToRoom, { signal: stop.signal });
  document.addEventListener('visibilitychange', () => void look(), { signal: stop.signal });
  goToRoom();
  void list.look();
  const repeat = async (): Promise<void> => {
    await look();
    if (!stop.signal.aborted) setTimeout(() => void repeat(), EVERY_MS);
  };
  void repeat();
}

const remembered = Api.remembered();
if (remembered === undefined) signIn(root, '', start);
else start(remembered);
