/** What an id of a user may be: the same at each way in, so that each user can be named at all of them. */
import { z } from 'zod';
import { nameProblem } from '../name.js';

/** Characters of a user's id or name: both are written into presence, over and over. */
export const MAX_ID = 256;

/** @returns what is wrong with it, to be said behind what it is; undefined where nothing is */
export function userIdProblem(id: string): string | undefined {
  if (id.length > MAX_ID) return `has ${id.length} characters, more than ${MAX_ID}`;
  return nameProblem(id);
}

export const userId = z
  .string()
  .min(1)
  .max(MAX_ID)
  .superRefine((id, context) => {
    const problem = nameProblem(id);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });
