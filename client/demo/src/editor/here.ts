/** Whether there is a document to show: from the server, from another tab, or kept in this browser. */
import type { CowriteProvider } from '@cowrite/client';

/** An empty copy says nothing: the document may have been written elsewhere since. */
export function isHere({ doc, loaded, synced }: CowriteProvider): boolean {
  return synced || (loaded && doc.store.clients.size > 0);
}

/** Calls `then` once, as soon as it is. */
export function whenHere(provider: CowriteProvider, then: () => void): void {
  const check = () => {
    if (!isHere(provider)) return;
    provider.off('synced', check);
    provider.off('loaded', check);
    then();
  };
  provider.on('synced', check);
  provider.on('loaded', check);
  check();
}
