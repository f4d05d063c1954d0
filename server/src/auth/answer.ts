/** What an application says of somebody, from its endpoint or its hook, read strictly. */
import { z } from 'zod';
import type { Identity } from './identity.js';
import { MAX_ID, userId } from './user-id.js';

const answer = z.object({
  access: z.enum(['write', 'read', 'none']),
  user: z.object({ id: userId, name: z.string().max(MAX_ID).nullish() }).nullish(),
  expiresAt: z
    .union([z.date(), z.iso.datetime({ offset: true }).transform((text) => new Date(text))])
    .nullish(),
});

/**
 * @param value its `user` and `expiresAt` may be left out, which null does too; `expiresAt` is a
 *   Date or a text of ISO 8601
 * @throws {TypeError} that says what is wrong with it, and nothing of what is in it
 */
export function identityOf(value: unknown): Identity {
  const parsed = answer.safeParse(value);
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues as [z.core.$ZodIssue];
    throw new TypeError(`the answer is no identity: ${path.join('.') || 'it'}: ${message}`);
  }
  const { access, user, expiresAt } = parsed.data;
  return {
    access,
    ...(user && { user: { id: user.id, ...(user.name != null && { name: user.name }) } }),
    ...(expiresAt && { expiresAt }),
  };
}
