/** The administrator's page: figures, rooms, and one room to look into. */
import '../../demo/src/styles/tokens.css';
import '../../demo/src/styles/base.css';
import '../../demo/src/styles/controls.css';
import './styles/admin.css';
import { h } from '../../demo/src/dom.js';
import { Api, Refused } from './api.js';
import { Figures } from './figures.js';
import { RoomList } from './list.js';
import { pageHeader, rootElement } from './page.js';
import { RoomView } from './room.js';
import { signIn } from './sign-in.js';
import { Tiles } from './tiles.js';

/** Milliseconds from one look to the next. */
const EVERY_MS = 2_000;

const root = rootElement();

function start(api: Api): void {
  const stop = new AbortController();
  const figures = new Figures();
  const tiles = new Tiles();
  const problem = h('p', { class: 'problem', role: 'alert' });
  const fail = (error: unknown): void => {
    if (error instanceof Refused && error.status === 401) leave('The token is not good any more.');
    else problem.textContent = `The server did not answer: ${messageOf(error)}`;
  };
  const list = new RoomList(api, fail);
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
    view = room === undefined ? undefined : new RoomView(api, room, () => void list.look(), fail);
    beside.replaceChildren(
      view?.element ??
        h(
          'p',
          { class: 'card nothing-chosen' },
          'Choose a room to see who is in it, and what it holds.',
        ),
    );
    root.classList.toggle('has-room', view !== undefined);
    void view?.look();
  };
  const look = async (): Promise<void> => {
    if (document.hidden) return;
    try {
      figures.look(await api.metrics(), performance.now());
      problem.textContent = '';
      tiles.show(figures.all);
      await Promise.all([list.refresh(), view?.look()]);
    } catch (error) {
      fail(error);
    }
  };

  const out = h('button', { type: 'button', class: 'button' }, 'Sign out');
  out.addEventListener('click', () => leave(''));
  root.replaceChildren(
    pageHeader('Administration', h('a', { class: 'button', href: '/api/docs' }, 'HTTP API'), out),
    h(
      'main',
      { class: 'admin' },
      problem,
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const remembered = Api.remembered();
if (remembered === undefined) signIn(root, '', start);
else start(remembered);
