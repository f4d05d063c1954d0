/** Links in the text: of what a document says of one, only the address is shown, where it is safe. */
import { Link as TiptapLink } from '@tiptap/extension-link';
import { safeAddress } from './addresses.js';

export const Link = TiptapLink.extend({
  renderHTML({ HTMLAttributes }) {
    const href = safeAddress(HTMLAttributes.href);
    const rel = 'noopener noreferrer nofollow';
    return ['a', href === undefined ? {} : { href, target: '_blank', rel }, 0];
  },
}).configure({
  openOnClick: false,
  defaultProtocol: 'https',
  // Asked for what is pasted, typed, set and read; Tiptap's own rule allows more.
  isAllowedUri: (address) => safeAddress(address) !== undefined,
});
