/** A shopping list that everybody who has the page open writes together. */
import { CowriteProvider } from '@cowrite/client';

const provider = new CowriteProvider({ url: '/ws', room: 'shopping' });
const items = provider.doc.getArray<string>('items');

const list = document.querySelector('#list') as HTMLUListElement;
const saved = document.querySelector('#saved') as HTMLElement;
const others = document.querySelector('#others') as HTMLElement;
const form = document.querySelector('form') as HTMLFormElement;
const input = document.querySelector('input') as HTMLInputElement;

items.observe(() => {
  list.replaceChildren(
    ...items.toArray().map((text, index) => {
      const item = document.createElement('li');
      const done = document.createElement('button');
      done.textContent = 'Done';
      done.addEventListener('click', () => items.delete(index));
      item.append(text, ' ', done);
      return item;
    }),
  );
});

const showSaved = () => {
  saved.textContent = provider.unsaved ? 'Saving…' : 'Saved';
};
provider.on('unsaved', showSaved);
showSaved();

provider.awareness.on('change', () => {
  others.textContent = `Others here: ${provider.awareness.getStates().size - 1}`;
});

form.addEventListener('submit', (event) => {
  event.preventDefault();
  items.push([input.value]);
  input.value = '';
});
