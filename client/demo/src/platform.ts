/** What keys are called here. */
const isApple = /Mac|iPhone|iPad/.test(navigator.userAgent);

const NAMES: Readonly<Record<string, readonly [apple: string, other: string]>> = {
  Mod: ['⌘', 'Ctrl'],
  Alt: ['⌥', 'Alt'],
  Shift: ['⇧', 'Shift'],
};

/** @returns `Mod-Alt-1` as `⌘⌥1` or `Ctrl+Alt+1`. */
export function keysText(shortcut: string): string {
  const keys = shortcut.split('-').map((key) => NAMES[key]?.[isApple ? 0 : 1] ?? key.toUpperCase());
  return keys.join(isApple ? '' : '+');
}

/** @returns the same for `aria-keyshortcuts`. */
export function ariaKeys(shortcut: string): string {
  return shortcut.replace('Mod', isApple ? 'Meta' : 'Control').replaceAll('-', '+');
}
