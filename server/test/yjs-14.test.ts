/** Documents that clients of Yjs 14 have written, which has one class for all kinds of types. */
import { describe, expect, it } from 'vitest';
import { call, governed, post, request } from './administrator.js';

/**
 * Written by @y/y 14.0.0-rc.7: a page of a heading, and a paragraph with a link, a line break and
 * text; a text with a bold word; an array; and a map with types without names in it.
 */
const UPDATE = Buffer.from(
  'ARkOAAcBBHBhZ2UDB2hlYWRpbmcoAA4ABWxldmVsAX0CBAAOAAVUaXRsZYcOAAMJcGFyYWdyYXBoBAAOBwZhIGxpbmuE' +
    'Dg0JIGFuZCB0ZXh0Rg4IBGxpbmsNeyJocmVmIjoiL3gifcYOFw4IBGJvbGQEdHJ1ZcYODQ4OBGxpbmsEbnVsbMYOGQ4OBGJv' +
    'bGQEbnVsbIcOFgMJaGFyZEJyZWFrhA4bBG5leHQEAQR0ZXh0BGJvbGSEDiMGIHBsYWluRg4gBGJvbGQEdHJ1ZcYOIw4kBGJv' +
    'bGQEbnVsbAgBBWFycmF5A3cBeH0HfigBA21hcAFuAX0BKAEDbWFwBXRpdGxlAXcHTWludXRlcycBA21hcAZuZXN0ZWQEKAAO' +
    'MQVpbm5lcgF4JwEDbWFwBGxpc3QECAAOMwJ9AXcDdHdvJwEDbWFwBXdvcmRzBAQADjYJaW4gYSB0eXBlAA==',
  'base64',
);

describe('[API-13] a document of Yjs 14', () => {
  it('is shown as one of Yjs 13 is: text whole and with its marks', async () => {
    const server = await governed();
    expect((await call(server, 'rooms/room', post(UPDATE)))[0]).toBe(201);
    expect(await call(server, 'rooms/room/document?form=json')).toEqual([
      200,
      {
        array: ['x', 7, null],
        map: {
          n: 1,
          title: 'Minutes',
          nested: { inner: true },
          list: [1, 'two'],
          words: 'in a type',
        },
        page: {
          type: 'doc',
          content: [
            { type: 'heading', attrs: { level: 2 }, content: [{ type: 'text', text: 'Title' }] },
            {
              type: 'paragraph',
              content: [
                {
                  type: 'text',
                  text: 'a link',
                  marks: expect.arrayContaining([
                    { type: 'bold' },
                    { type: 'link', attrs: { href: '/x' } },
                  ]),
                },
                { type: 'text', text: ' and text' },
                { type: 'hardBreak' },
                { type: 'text', text: 'next' },
              ],
            },
          ],
        },
        text: 'bold plain',
      },
    ]);
    expect(await call(server, 'rooms/room/document?form=json&type=text&as=delta')).toEqual([
      200,
      [{ insert: 'bold', attributes: { bold: true } }, { insert: ' plain' }],
    ]);
    const text = await (await request(server, 'rooms/room/document?form=text')).text();
    expect(text).toBe('x\n\nMinutes\ntwo\nin a type\n\nTitle\na link and text\nnext\n\nbold plain');
  });
});
