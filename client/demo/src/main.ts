/**
 * Which page an address shows. Pages are reached by ordinary navigation, so there is no router to
 * keep in step with the browser's history.
 */
import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import { landingPage } from './landing.js';
import { invalidRoomPage, notFoundPage } from './message-page.js';
import { placeOf } from './rooms.js';
import { installTooltips } from './tooltip.js';

const root = document.getElementById('app');
if (!root) throw new Error('index.html has no #app');

installTooltips();

const place = placeOf(location.pathname);
switch (place.page) {
  case 'landing':
    landingPage(root);
    break;
  case 'document': {
    // Only this page needs the editor, which is nearly all of the code. Both are asked for at once.
    const editor = import('./editor/open.js');
    // The page says so where it does not come; until the page itself is there, nobody listens.
    editor.catch(() => undefined);
    const { documentPage } = await import('./editor/page.js');
    documentPage(root, place.room, editor);
    break;
  }
  case 'invalid-room':
    invalidRoomPage(root, place.name);
    break;
  case 'not-found':
    notFoundPage(root);
    break;
}
