/** A step 2 that is too large, where the code that would cut it does not come. */
import { afterEach, expect, test, vi } from 'vitest';
import { accept, closePages, setUpPages, textOf, type } from '../test/pages.js';

vi.mock('./refusals.js', () => {
  throw new Error('not to be had');
});

afterEach(closePages);

test('[CLI-17] what cannot be cut stays in the document, and is not sent for ever', async () => {
  const { network, open } = setUpPages({ tabs: false });
  const page = open();
  const errors: string[] = [];
  page.on('connection-error', ({ error }) => errors.push(error.message));
  type(page, 'too much');
  accept(network.last);
  network.last.drop(1009, 'too large');
  await vi.waitFor(() => expect(page.status).toBe('refused'));
  expect(page.refusal).toMatchObject({ reason: 'too-large', code: 1009 });
  expect(errors).toEqual(['a part of this package could not be loaded']);
  expect([textOf(page), page.unsaved]).toEqual(['too much', true]);
});
