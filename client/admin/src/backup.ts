/** "Back up now": all of the store as a file that the browser keeps. */
import { shownName } from '../../../server/src/shown.js';
import { h } from '../../demo/src/dom.js';
import { type Api, reasonOf } from './api.js';
import { type Backup, receive } from './backup-file.js';
import { showDialog } from './dialog.js';
import { download } from './download.js';
import { count, size } from './words.js';

/** Bytes. */
const MOST = 2e9;

/** @param isOver whether the page is left because of this error */
export async function backUp(api: Api, isOver: (error: unknown) => boolean): Promise<void> {
  const said = h('p', { class: 'said', role: 'status' });
  const begin = h('button', { type: 'button', class: 'button primary' }, 'Back up now');
  const close = h('button', { type: 'button', class: 'button' }, 'Close');
  const stop = new AbortController();
  const dialog = h(
    'dialog',
    { class: 'dialog', 'aria-label': 'Back up' },
    h(
      'div',
      { class: 'dialog-body' },
      h('h2', {}, 'Back up'),
      h(
        'p',
        {},
        'Every document of the store goes into one file, which this browser downloads. People can go on writing. ',
        h('code', {}, 'cowrite restore'),
        ' puts it into a store of any kind.',
      ),
      h(
        'p',
        {},
        'The file is not encrypted: anybody who has it can read every document. For a large store, and for backups that run by themselves, use ',
        h('code', {}, 'cowrite backup'),
        '.',
      ),
      said,
      h('div', { class: 'dialog-actions' }, close, begin),
    ),
  );
  close.addEventListener('click', () => dialog.close());
  begin.addEventListener('click', async () => {
    begin.disabled = true;
    close.textContent = 'Cancel';
    said.textContent = 'Reading the store…';
    try {
      const response = await api.backup(stop.signal);
      // Not at each part: it is read out.
      let told = 0;
      const backup = await receive(response.body!, MOST, (received) => {
        if (received < told + 10e6) return;
        told = received;
        said.textContent = `${size(received)} so far.`;
      });
      const at = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
      download(backup.file, `cowrite-${at}.cowrite`);
      said.replaceChildren(...outcomeOf(backup));
    } catch (error) {
      if (stop.signal.aborted) return;
      if (isOver(error)) return dialog.close();
      said.textContent = `There is no backup: ${reasonOf(error)}.`;
    } finally {
      begin.disabled = false;
      close.textContent = 'Close';
    }
  });
  await showDialog(dialog);
  stop.abort();
}

function outcomeOf({ file, rooms, unreadable, lost }: Backup): (Node | string)[] {
  const problems = [
    ...(unreadable.length === 0
      ? []
      : [`${count(unreadable.length, 'room')} could not be read: ${listOf(unreadable)}.`]),
    ...(lost === 0 ? [] : [`${count(lost, 'update')} could not be read.`]),
  ];
  const all = `All of it has arrived: ${count(rooms, 'room')}, ${size(file.size)}.`;
  if (problems.length === 0) return [all];
  const missing = `Not in it, because the store is damaged: ${problems.join(' ')} cowrite check says what.`;
  return [all, ' ', h('strong', { class: 'missing' }, missing)];
}

function listOf(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => shownName(name));
  return [...shown, ...(names.length > 5 ? ['…'] : [])].join(', ');
}
