/** What names of rooms and ids of users must not be, wherever they come from. */

/** @returns what is wrong with it, to be said behind what it is; undefined where nothing is */
export function nameProblem(text: string): string | undefined {
  if (text === '') return 'is empty';
  // In JSON a half of a character can be written, which no store and no address can.
  if (/\p{Cs}/u.test(text)) return 'is no Unicode text';
  if (/\p{Cc}/u.test(text)) return 'has a control character';
  // In an address they would be steps, also percent-encoded: they would lead to others.
  if (text === '.' || text === '..') return 'is a step of a path';
  return undefined;
}
