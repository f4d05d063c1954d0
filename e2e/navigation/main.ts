/** An application of one page that keeps its document, and makes a provider for each visit of it. */
import { CowriteProvider } from '@cowrite/client';
import * as Y from 'yjs';

const doc = new Y.Doc();
const name = new URLSearchParams(location.search).get('name') ?? 'nobody';
let visits = 0;
let provider: CowriteProvider | null = null;

function open(): void {
  visits++;
  const opened = new CowriteProvider({
    url: `${location.origin.replace('http', 'ws')}/ws`,
    room: 'navigation',
    doc,
  });
  provider = opened;
  const show = (): void => {
    const people = [...opened.awareness.getStates().values()].map((state) => state.name);
    document.querySelector('#people')!.textContent = people.filter(Boolean).sort().join(', ');
  };
  opened.awareness.on('change', show);
  // Afterwards it moves less often than others have seen it move.
  const moves = visits === 1 ? 50 : 0;
  for (let move = 0; move < moves; move++) opened.awareness.setLocalState({ name, move });
  opened.awareness.setLocalState({ name: `${name} ${visits}` });
}

document.querySelector('#leave')!.addEventListener('click', () => provider?.destroy());
document.querySelector('#open')!.addEventListener('click', open);
open();
