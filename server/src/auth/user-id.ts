/** What an id of a user may be: the same at each way in, so that each user can be named at all of them. */
import { z } from 'zod';
import { nameProblem } from '../name.js';

/** Characters of a user's id or name: both are written into presence, over and over. */
export const MAX_ID = 256;

/** Unicode's, of which one may be two units of a JavaScript text. */
export function charactersIn(text: string): number {
  return [...text].length;
}

/** @returns what is wrong with it, to be said behind what it is; undefined where nothing is */
export function userIdProblem(id: string): string | undefined {
  const count = charactersIn(id);
  return count > MAX_ID ? `has ${count} characters, more than ${MAX_ID}` : nameProblem(id);
}

/** By the same function, not by zod's `min` and `max`: two that count differently let ids in that others refuse. */
export const userId = z.string().superRefine((id, context) => {
  const problem = userIdProblem(id);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});
