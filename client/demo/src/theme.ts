/** Light or dark. The system decides until somebody chooses; `theme-boot.js` applies it before the first paint. */
import { h } from './dom.js';
import { icon } from './icons.js';
import { write } from './storage.js';

type Theme = 'light' | 'dark';

const systemDark = matchMedia('(prefers-color-scheme: dark)');

export function themeButton(): HTMLButtonElement {
  const button = h('button', { type: 'button', class: 'icon-button' });
  const show = () => {
    const label = current() === 'dark' ? 'Use the light theme' : 'Use the dark theme';
    button.replaceChildren(icon(current() === 'dark' ? 'sun' : 'moon'));
    button.setAttribute('aria-label', label);
    button.dataset.tip = label;
  };
  button.addEventListener('click', () => {
    choose(current() === 'dark' ? 'light' : 'dark');
    show();
  });
  systemDark.addEventListener('change', show);
  show();
  return button;
}

function current(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return systemDark.matches ? 'dark' : 'light';
}

/** Choosing what the system says already is choosing to follow the system. */
function choose(theme: Theme): void {
  const asSystem = (theme === 'dark') === systemDark.matches;
  if (asSystem) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  write('cowrite:theme', asSystem ? undefined : theme);
}
