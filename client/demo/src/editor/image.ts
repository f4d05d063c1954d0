/** Images in the text: the document's own are shown, of others is said where they are. */
import { Image as TiptapImage } from '@tiptap/extension-image';
import { pictureAt } from './addresses.js';

export const Image = TiptapImage.extend({
  parseHTML() {
    const attributesOf = (src: string | null, alt: string | null) =>
      pictureAt(src) === undefined ? false : { src, alt };
    return [
      {
        tag: 'img[src]',
        getAttrs: (image) => attributesOf(image.getAttribute('src'), image.getAttribute('alt')),
      },
      {
        // As it is rendered below, and so as it is copied.
        tag: 'a[data-image]',
        priority: 60,
        getAttrs: (link) => attributesOf(link.getAttribute('href'), link.dataset.image ?? null),
      },
    ];
  },

  renderHTML({ HTMLAttributes }) {
    const { src } = HTMLAttributes;
    const alt = typeof HTMLAttributes.alt === 'string' ? HTMLAttributes.alt : '';
    switch (pictureAt(src)) {
      case 'here':
        return ['img', { src, alt }];
      case 'elsewhere': {
        const { host } = new URL(src);
        const label = alt ? `Image on ${host}: ${alt}` : `Image on ${host}`;
        return [
          'a',
          {
            class: 'image-elsewhere',
            href: src,
            target: '_blank',
            rel: 'noopener noreferrer nofollow',
            'aria-label': label,
            'data-label': label,
            'data-image': alt,
          },
        ];
      }
      case undefined:
        return [
          'span',
          { class: 'image-elsewhere', 'data-label': 'An image that cannot be shown' },
        ];
    }
  },
});
