/**
 * The rest of a body that a request is refused without, read before the answer.
 *
 * An answer that comes before the body has a connection that is closed with bytes unread behind it.
 * The kernel then resets it, and a client that is still sending, on a slow line for instance, is told
 * of a broken connection and not why it was refused.
 */

/**
 * Resolves once all of the body has been read and thrown away, it has more than so many bytes, or the
 * client is gone. When it has to have arrived is not looked at here.
 */
export async function readToEnd(request: Request, mostBytes: number): Promise<void> {
  if (Number(request.headers.get('content-length') ?? 0) > mostBytes) return;
  const { body } = request;
  // Who has it reads it.
  if (body === null || body.locked) return;
  const reader = body.getReader();
  for (let bytes = 0; bytes <= mostBytes; ) {
    const { done, value } = await reader.read().catch(() => GONE);
    if (done) return;
    bytes += value.length;
  }
}

/** Nobody is there any more to be answered. */
const GONE = { done: true, value: undefined } as const;
