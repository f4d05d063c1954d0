/** What a download as Markdown may bring along, read by a program that shows Markdown as HTML. */
import { type JSONContent, resolveExtensions } from '@tiptap/core';
import { TaskItem, TaskList } from '@tiptap/extension-list';
import { StarterKit } from '@tiptap/starter-kit';
import { marked } from 'marked';
import { beforeAll, expect, test, vi } from 'vitest';
import { Image } from '../demo/src/editor/image.js';
import { Link } from '../demo/src/editor/link.js';
import { toMarkdown } from '../demo/src/editor/markdown.js';
import { tables } from '../demo/src/editor/tables.js';

beforeAll(() => vi.stubGlobal('location', { href: 'https://docs.example/d/plan' }));

const extensions = resolveExtensions([
  StarterKit.configure({ link: false }),
  Link,
  Image,
  tables,
  TaskList,
  TaskItem,
]);
const written = (...content: JSONContent[]) => toMarkdown(extensions, { type: 'doc', content });
const text = (said: string, ...marks: NonNullable<JSONContent['marks']>) => ({
  type: 'text',
  text: said,
  marks,
});
const paragraph = (...content: JSONContent[]) => ({ type: 'paragraph', content });
const linked = (attrs: object) => text('here', { type: 'link', attrs: { ...attrs } });
const table = (...content: JSONContent[]) => ({
  type: 'table',
  content: [{ type: 'tableRow', content: [{ type: 'tableCell', content }] }],
});

const SCRIPT = '<script>alert(1)</script>';

test('[DEMO-31] what is downloaded as Markdown runs nothing, whatever a document says', () => {
  const code = (said: string) => text(said, { type: 'code' });
  const block = (said: string, language: unknown = null) => ({
    type: 'codeBlock',
    attrs: { language },
    content: [text(said)],
  });
  const hostile: readonly JSONContent[] = [
    paragraph(text(SCRIPT)),
    paragraph(linked({ href: 'javascript:alert(1)' })),
    paragraph(linked({ href: 'javascript&colon;alert(1)' })),
    paragraph(linked({ href: 'java\tscript:alert(1)' })),
    paragraph(linked({ href: `data:text/html,${SCRIPT}` })),
    paragraph(linked({ href: `https://ok.example/) ${SCRIPT}` })),
    paragraph(linked({ href: `mailto:a@b.example) ${SCRIPT}` })),
    paragraph(linked({ href: 'https://ok.example/', title: `" )${SCRIPT}` })),
    { type: 'image', attrs: { src: 'javascript:alert(1)', alt: SCRIPT } },
    { type: 'image', attrs: { src: 'https://ok.example/a.png', alt: `](x)${SCRIPT}` } },
    { type: 'image', attrs: { src: `https://ok.example/) ${SCRIPT}`, alt: '' } },
    { type: 'image', attrs: { src: 'https://ok.example/a.png', title: `")${SCRIPT}` } },
    paragraph(code(`\`${SCRIPT}\``)),
    paragraph(code(`a\n\n${SCRIPT}`)),
    table(paragraph(code(`${SCRIPT} | b`))),
    table(block(`a | ${SCRIPT}`)),
    table({ type: 'image', attrs: { src: 'https://ok.example/|', alt: `|${SCRIPT}|` } }),
    block(`\`\`\`\n${SCRIPT}`),
    block(`\`\`\`\`\`\n${SCRIPT}`),
    block('a', `js\n\`\`\`\n${SCRIPT}`),
    block('a', [SCRIPT]),
    { type: 'blockquote', content: [block(`a\n\n${SCRIPT}`)] },
    { type: 'blockquote', content: [block(`a\r${SCRIPT}`)] },
    {
      type: 'bulletList',
      content: [{ type: 'listItem', content: [paragraph(text('a')), block(`a\n\n${SCRIPT}`)] }],
    },
    {
      type: 'orderedList',
      attrs: { start: SCRIPT },
      content: [{ type: 'listItem', content: [paragraph(text('a'))] }],
    },
    { type: 'heading', attrs: { level: 1e9 }, content: [text('a')] },
  ];
  for (const node of hostile) {
    const markdown = written(node);
    const page = marked.parse(markdown, { async: false });
    expect(page, markdown).not.toMatch(/<script|(href|src)="(javascript|data:text)/i);
  }
});

test('[DEMO-31] what is usual is written as it is', () => {
  expect(written(paragraph(linked({ href: 'https://ok.example/a?b=1&c=(2)' })))).toBe(
    '[here](https://ok.example/a?b=1&amp;c=%282%29)\n',
  );
  expect(written(paragraph(linked({ href: 'other' })))).toBe(
    '[here](https://docs.example/d/other)\n',
  );
  const code = { type: 'codeBlock', attrs: { language: 'c++' }, content: [text('a || b <c>')] };
  expect(written(code)).toBe('```c++\na || b <c>\n```\n');
  expect(written(paragraph(text('a || b', { type: 'code' })))).toBe('`a || b`\n');
  const picture = 'data:image/png;base64,iVBORw0KGgo=';
  expect(written({ type: 'image', attrs: { src: picture, alt: 'A cat' } })).toBe(
    `![A cat](${picture})\n`,
  );
  const list = { type: 'orderedList', attrs: { start: 3 }, content: [] as JSONContent[] };
  list.content.push({ type: 'listItem', content: [paragraph(text('a'))] });
  expect(written(list)).toBe('3. a\n');
});

test('[DEMO-31] what looks like Markdown in a text is read again as that text', () => {
  const heading = { type: 'heading', attrs: { level: 2 }, content: [text('1. one')] };
  expect(marked.parse(written(heading), { async: false })).toBe('<h2>1. one</h2>\n');
  for (const said of [
    '# a',
    '- a',
    '+ a',
    '* a',
    '1. a',
    '23) a',
    '---',
    '===',
    '~~~',
    '#',
    '    a',
  ]) {
    const shown = said.trim();
    for (const content of [[text(said)], [text('b'), { type: 'hardBreak' }, text(said)]]) {
      const page = marked.parse(written(paragraph(text('c')), paragraph(...content)), {
        async: false,
      });
      const lines = content.length === 1 ? shown : `b<br>${shown}`;
      expect(page, said).toBe(`<p>c</p>\n<p>${lines}</p>\n`);
    }
  }
  const cell = marked.parse(written(table(paragraph(text('a | b')))), { async: false });
  expect(cell).toContain('<td>a | b</td>');
  expect(written(paragraph(text('a-b #c 1. | d')))).toBe('a-b #c 1. | d\n');
  expect(written(paragraph(text('# a', { type: 'code' })))).toBe('`# a`\n');
});
