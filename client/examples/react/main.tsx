/** A shopping list that everybody who has the page open writes together. */
import { CowriteClient } from '@cowrite/client';
import { CowriteRoom, useDoc, useOthers, useSaved } from '@cowrite/client/react';
import { type FormEvent, StrictMode, useEffect, useReducer } from 'react';
import { createRoot } from 'react-dom/client';

const client = new CowriteClient({ url: '/ws' });

function ShoppingList() {
  const items = useDoc().getArray<string>('items');
  const [, render] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    items.observe(render);
    return () => items.unobserve(render);
  }, [items]);

  const add = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    items.push([String(new FormData(form).get('item'))]);
    form.reset();
  };

  return (
    <>
      <h1>Shopping list</h1>
      <p>
        <span id="saved">{useSaved().unsaved ? 'Saving…' : 'Saved'}</span>{' '}
        <span id="others">Others here: {useOthers((others) => others.length)}</span>
      </p>
      <ul id="list">
        {items.toArray().map((text, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: nothing else tells two equal items apart
          <li key={index}>
            {text}{' '}
            <button type="button" onClick={() => items.delete(index)}>
              Done
            </button>
          </li>
        ))}
      </ul>
      <form onSubmit={add}>
        <input name="item" aria-label="New item" />
      </form>
    </>
  );
}

createRoot(document.querySelector('#root') as HTMLElement).render(
  <StrictMode>
    <CowriteRoom client={client} room="shopping" suspend fallback={<p>Loading…</p>}>
      <ShoppingList />
    </CowriteRoom>
  </StrictMode>,
);
