// @vitest-environment happy-dom
import { Text } from '@codemirror/state';
import type { DecorationSet } from '@codemirror/view';
import * as tiptap from '@tiptap/y-tiptap';
import * as encoding from 'lib0/encoding';
import { Schema } from 'prosemirror-model';
import { EditorState } from 'prosemirror-state';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { yRemoteSelections } from 'y-codemirror.next';
import * as prosemirror from 'y-prosemirror';
import { Awareness, applyAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Dice } from '../../server/test/seeded.js';
import { guardAwareness } from './awareness-guard.js';
import { safeState } from './safe-state.js';

const THEM = 7;
const RUNS = Number(process.env.RUNS ?? 3_000);
const clocks = new WeakMap<Awareness, number>();

/** What somebody else's client may send: any JSON. */
function hear(awareness: Awareness, state: unknown, client = THEM): void {
  const clock = (clocks.get(awareness) ?? 0) + 1;
  clocks.set(awareness, clock);
  const encoder = encoding.createEncoder();
  for (const number of [1, client, clock]) encoding.writeVarUint(encoder, number);
  encoding.writeVarString(encoder, JSON.stringify(state));
  applyAwarenessUpdate(awareness, encoding.toUint8Array(encoder), 'test');
}

function awarenessOf(doc: Y.Doc, isGuarded = true): Awareness {
  const awareness = new Awareness(doc);
  if (isGuarded) guardAwareness(awareness);
  return awareness;
}

const shown = (awareness: Awareness) => awareness.getStates().get(THEM);

describe('[CLI-30] states of others', () => {
  const doc = new Y.Doc();
  doc.clientID = 1;
  doc.getText('t').insert(0, 'text');
  const complete = { type: null, tname: 't', item: { client: 1, clock: 2 }, assoc: 0 };
  const end = { type: null, tname: 't', item: null, assoc: 0 };

  test('are handed over as they are where an editor can show them', () => {
    for (const state of [
      { user: { name: 'Ada', color: '#ff0000', colorLight: '#ff000033', id: 7 } },
      { user: { name: 'Ada', color: 'hsl(210 50% 40% / 0.5)' }, cursor: null },
      { cursor: { anchor: complete, head: end }, other: { deep: [1, null] } },
      { selection: { anchor: end, head: end, collapsed: true }, anchor: complete, head: null },
      {
        name: 'Ada',
        color: 'rebeccapurple',
        pointer: { x: 1, y: 2 },
        anchorPos: end,
        focusPos: null,
      },
      { data: { name: 'Ada', color: '#f00', tool: { name: { en: 'Pen' } } } },
      { data: [{ name: 1 }], user: { title: { en: 'Dr' } } },
      { color: 'color-mix(in oklab, var(--red) 50%, rgb(1, 2, 3))', colour: '#f00' },
    ]) {
      expect(safeState(state, {}, () => true)).toBe(state);
    }
  });

  test.each([
    ['no range', {}],
    ['one of nothing', { anchor: {}, head: {} }],
    ['half a range', { anchor: end }],
    ['a range whose half is null', { anchor: end, head: null }],
    ['a position that is none of a range', end],
    ['a number', 1],
    ['a text', 'cursor'],
    ['a list', []],
    ['a flag', true],
    ['a place on the screen', { x: 1, y: 2 }],
    ['a range of texts', { anchor: 'a', head: 'b' }],
    ['ids without clocks', { anchor: { item: { client: 1 } }, head: end }],
    ['a negative clock', { anchor: { item: { client: 1, clock: -1 } }, head: end }],
    ['a clock between two', { anchor: { item: { client: 1, clock: 0.5 } }, head: end }],
    ['a clock that is a text', { anchor: { item: { client: 1, clock: '0' } }, head: end }],
    ['an id that is a list', { anchor: { item: [1, 0] }, head: end }],
    ['a type that is a text', { anchor: { type: 't' }, head: end }],
    ['the name of a type that is none', { anchor: { tname: 1 }, head: end }],
    ['an association that is none', { anchor: { ...end, assoc: 'x' }, head: end }],
    ['nested ranges', { anchor: { anchor: end, head: end }, head: end }],
  ])('come without a cursor that is %s', (_, cursor) => {
    const awareness = awarenessOf(doc);
    hear(awareness, { user: { name: 'Eve' }, cursor, selection: cursor, mood: 'bad' });
    expect(shown(awareness)).toEqual({ user: { name: 'Eve' }, mood: 'bad' });
    const isPoint = cursor === end;
    hear(awareness, { anchorPos: cursor, focusPos: cursor, mood: 'bad' });
    expect(shown(awareness)).toEqual({
      ...(isPoint && { anchorPos: end, focusPos: end }),
      mood: 'bad',
    });
    awareness.destroy();
  });

  test('have positions with all of their fields, also where the sender left some out', () => {
    const awareness = awarenessOf(doc);
    const anchor = { item: { client: 1, clock: 2 } };
    hear(awareness, { cursor: { anchor, head: { tname: 't', assoc: -1 } }, head: anchor });
    const item = { ...anchor, type: null, tname: null, assoc: 0 };
    expect(shown(awareness)).toEqual({
      cursor: { anchor: item, head: { type: null, tname: 't', item: null, assoc: -1 } },
      head: item,
    });
    hear(awareness, { selection: { anchor: end, focus: end } });
    expect(shown(awareness)).toEqual({ selection: { anchor: end, head: end, focus: end } });
    awareness.destroy();
  });

  test('hold positions of what is not here yet: these resolve to nothing, and later to something', () => {
    const [here, there] = [new Y.Doc(), new Y.Doc()];
    const awareness = awarenessOf(here);
    there.getText('t').insert(0, 'x');
    const there0 = Y.createRelativePositionFromTypeIndex(there.getText('t'), 0);
    hear(awareness, { cursor: { anchor: there0, head: there0 } });
    const resolved = () =>
      Y.createAbsolutePositionFromRelativePosition(shown(awareness)?.cursor.head, here);
    expect(resolved()).toBeNull();
    Y.applyUpdate(here, Y.encodeStateAsUpdate(there));
    expect(resolved()).toMatchObject({ index: 0 });
    awareness.destroy();
  });

  test('make no root types without end, and are looked at again when the document has got one', () => {
    const here = new Y.Doc();
    const awareness = awarenessOf(here);
    const at = (tname: string) => ({
      cursor: { anchor: { ...end, tname }, head: { ...end, tname } },
    });
    for (let i = 0; i < 100; i++) {
      hear(awareness, at(`made ${i}`));
      const { cursor } = shown(awareness) ?? {};
      if (cursor !== undefined) Y.createAbsolutePositionFromRelativePosition(cursor.anchor, here);
    }
    expect(here.share.size).toBe(16);
    const changes: unknown[] = [];
    awareness.on('change', (change: unknown) => changes.push(change));
    hear(awareness, at('theirs'));
    expect(shown(awareness)).toEqual({});
    here.getText('another').insert(0, 'x');
    expect(shown(awareness)).toEqual({});
    here.getText('theirs').insert(0, 'x');
    expect(shown(awareness)).toEqual(at('theirs'));
    expect(changes.at(-1)).toEqual({ added: [], updated: [THEM], removed: [] });
    // Nobody listens when nothing is to be looked at again.
    expect(here._observers.get('afterTransaction')?.size ?? 0).toBe(0);
    hear(awareness, at('gone'));
    expect(here._observers.get('afterTransaction')?.size).toBe(1);
    hear(awareness, null);
    expect(here._observers.get('afterTransaction')?.size ?? 0).toBe(0);
    awareness.destroy();
  });

  test('come without names that are no text and colours that are more than one', () => {
    const awareness = awarenessOf(doc);
    const untold = { toString: 1, valueOf: 1 };
    for (const color of [
      'red; position: fixed',
      'url(https://evil.example)',
      'URL (x)',
      'red}body{display:none',
      'var(--x, url(y))',
      '"x"',
      'a\\3b b',
      'image-set(x)',
      'x'.repeat(101),
      untold,
      [untold],
    ]) {
      hear(awareness, {
        color,
        user: { color, colorLight: color, backgroundColour: color, id: 1 },
      });
      expect(shown(awareness), JSON.stringify(color)).toEqual({ user: { id: 1 } });
    }
    hear(awareness, { name: untold, user: { name: untold, title: [untold], id: 1 } });
    expect(shown(awareness)).toEqual({ user: { id: 1 } });
    // React throws on an object among what is to be shown, and takes the page away.
    for (const name of [{}, { first: 'Eve' }, ['Eve'], [{}], 7, true, null]) {
      hear(awareness, { name, user: { name, id: 1 }, data: { name, id: 1 } });
      expect(shown(awareness), JSON.stringify(name)).toEqual({ user: { id: 1 }, data: { id: 1 } });
    }
    for (const color of [{}, ['red'], 7, true, null, 'url(x)']) {
      hear(awareness, { color, user: { color, id: 1 }, data: { colorLight: color, id: 1 } });
      expect(shown(awareness), JSON.stringify(color)).toEqual({ user: { id: 1 }, data: { id: 1 } });
    }
    for (const user of ['Eve', 1, true, [], [untold]]) {
      hear(awareness, { user, mood: 'bad' });
      expect(shown(awareness)).toEqual({ mood: 'bad' });
    }
    for (const state of [1, 'text', true, [], [[]]]) {
      hear(awareness, state);
      expect(shown(awareness)).toEqual({});
    }
    const polluting = JSON.parse('{"__proto__":{"x":1},"user":{"__proto__":{"x":1},"id":1}}');
    hear(awareness, polluting);
    expect(Object.keys(shown(awareness) ?? {})).toEqual(['user']);
    expect(shown(awareness)).not.toHaveProperty('user.x');
    awareness.destroy();
  });

  test('are looked at under the names that the application gives; the own state is its own', () => {
    const awareness = new Awareness(doc);
    hear(awareness, { caret: {}, cursor: {} });
    guardAwareness(awareness, { ranges: ['caret'], points: ['pin'] });
    expect(shown(awareness)).toEqual({ cursor: {} });
    hear(awareness, { caret: {}, pin: { x: 1 }, cursor: { x: 1 } });
    expect(shown(awareness)).toEqual({ cursor: { x: 1 } });
    guardAwareness(awareness);
    expect(shown(awareness)).toEqual({ cursor: { x: 1 } });
    const own = { caret: {}, user: 'me' };
    awareness.setLocalState(own);
    expect(awareness.getLocalState()).toBe(own);
    // Unless somebody else says it.
    hear(awareness, { caret: {}, user: 'not me', mood: 'bad' }, awareness.clientID);
    expect(awareness.getLocalState()).toEqual({ mood: 'bad' });
    awareness.destroy();
  });
});

interface CodeMirrorPlugin {
  readonly decorations: DecorationSet;
  update(update: unknown): void;
}

/** Editors' own code, on a document in which positions may point to anything. */
describe('[CLI-30] the bindings of ProseMirror, Tiptap, CodeMirror, and those that resolve as Monaco and Quill do', () => {
  afterEach(() => vi.restoreAllMocks());

  const schema = new Schema({
    nodes: {
      doc: { content: 'block+' },
      paragraph: { content: 'text*', group: 'block', toDOM: () => ['p', 0] },
      quote: { content: 'block+', group: 'block', toDOM: () => ['blockquote', 0] },
      text: {},
    },
    marks: { strong: {} },
  });

  function document(dice: Dice): Y.Doc {
    const doc = new Y.Doc();
    const pm = doc.getXmlFragment('pm');
    const paragraph = (text: string) => {
      const element = new Y.XmlElement('paragraph');
      element.insert(0, [new Y.XmlText(text)]);
      element.setAttribute('align', 'left');
      return element;
    };
    const quote = new Y.XmlElement('quote');
    quote.insert(0, [paragraph('quoted'), paragraph('more')]);
    pm.insert(0, [paragraph('one'), quote, paragraph('three')]);
    const text = pm.get(0) as Y.XmlElement;
    (text.get(0) as Y.XmlText).format(0, 2, { strong: {} });
    doc.getText('cm').insert(0, 'some lines\nof code\nand more');
    doc.getText('cm').delete(3, 4);
    doc.getMap('map').set('inner', new Y.Array());
    (doc.getMap('map').get('inner') as Y.Array<unknown>).insert(0, [new Y.Text('deep'), 1]);
    pm.delete(dice.below(3), 1);
    return doc;
  }

  /** The likely and the unlikely. */
  function position(dice: Dice, doc: Y.Doc): unknown {
    const of = <T>(...choices: readonly T[]): T => choices[dice.below(choices.length)]!;
    const clients = [doc.clientID, 0, 99, 2 ** 53, -1, 0.5, '1', null, undefined, {}];
    const clock = () => of<unknown>(dice.below(120), 0, 119, 2 ** 40, 2 ** 53, -1, 0.5, '1', null);
    const id = (): unknown =>
      dice.below(4) > 0
        ? { client: doc.clientID, clock: dice.below(120) }
        : of<unknown>(
            { client: of<unknown>(...clients), clock: clock() },
            {},
            [],
            'x',
            1,
            null,
            true,
          );
    const full = {
      item: of<unknown>(id(), null, undefined),
      type: of<unknown>(id(), null, undefined),
      tname: of<unknown>('pm', 'cm', 'map', 'none', '__proto__', null, undefined, 1, {}),
      assoc: of<unknown>(0, -1, 1, 2 ** 60, 0.5, 'x', null, undefined, {}),
    };
    return of<unknown>(full, full, full, full, {}, null, undefined, [], 'x', 0, true, {
      anchor: full,
    });
  }

  function state(dice: Dice, doc: Y.Doc): unknown {
    const of = <T>(...choices: readonly T[]): T => choices[dice.below(choices.length)]!;
    const range = () =>
      of<unknown>(
        { anchor: position(dice, doc), head: position(dice, doc) },
        { anchor: position(dice, doc), head: position(dice, doc) },
        { anchor: position(dice, doc), focus: position(dice, doc) },
        position(dice, doc),
      );
    const odd = of<unknown>('Eve', 1, {}, [], null, { toString: 1 }, [{ valueOf: 1, toString: 1 }]);
    return of<unknown>(
      {
        user: of<unknown>({}, { name: odd, color: odd, colorLight: odd }, odd),
        cursor: range(),
        selection: range(),
      },
      { user: of<unknown>({}, { name: odd, color: odd }), cursor: range() },
      { cursor: range() },
      odd,
    );
  }

  function editors(doc: Y.Doc, awareness: Awareness) {
    const fragment = doc.getXmlFragment('pm');
    const show = (library: typeof prosemirror | typeof tiptap) => {
      const { doc: node, mapping } = library.initProseMirrorDoc(fragment, schema);
      const editor = EditorState.create({
        doc: node,
        schema,
        plugins: [library.ySyncPlugin(fragment, { mapping }) as never],
      });
      return () => {
        const build = (user: Record<string, unknown>) => library.defaultCursorBuilder(user);
        const select = (user: Record<string, unknown>) => library.defaultSelectionBuilder(user);
        const found = library.createDecorations(
          editor as never,
          awareness,
          (own, client) => own !== client,
          build as never,
          select as never,
        );
        for (const { type } of found.find() as unknown as { type: { toDOM?: unknown } }[]) {
          if (typeof type.toDOM === 'function') type.toDOM();
        }
      };
    };
    const text = doc.getText('cm');
    const view = {
      hasFocus: false,
      dispatch: () => undefined,
      state: {
        doc: Text.of(text.toString().split('\n')),
        facet: () => ({ ytext: text, awareness }),
      },
    };
    // What CodeMirror calls where the plugin is one of its view's.
    const codemirror = (
      yRemoteSelections as unknown as { create(of: unknown): CodeMirrorPlugin }
    ).create(view);
    const cm = () => {
      codemirror.update({ view, state: view.state } as never);
      codemirror.decorations.between(0, 1e9, (_from, _to, { spec }) => void spec.widget?.toDOM());
    };
    const raw = () => {
      for (const { cursor, selection } of awareness.getStates().values()) {
        for (const range of [cursor, selection]) {
          if (range == null) continue;
          for (const end of [range.anchor, range.head]) {
            Y.createAbsolutePositionFromRelativePosition(end, doc);
            const read = Y.createRelativePositionFromJSON(end);
            Y.createAbsolutePositionFromRelativePosition(read, doc);
          }
        }
      }
    };
    return { prosemirror: show(prosemirror), tiptap: show(tiptap), codemirror: cm, raw };
  }

  test('throw at none of many hostile states; without the guard each throws at some', () => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const dice = Dice.announced('CLI-30');
    const failures: Record<string, number> = {};
    const shownAt: Record<string, number> = {};
    for (let round = 0; round < RUNS / 100; round++) {
      const doc = document(dice);
      const [safe, unsafe] = [awarenessOf(doc), awarenessOf(doc, false)];
      const [guarded, bare] = [editors(doc, safe), editors(doc, unsafe)];
      for (let i = 0; i < 100; i++) {
        const hostile = state(dice, doc);
        const text = JSON.stringify(hostile) ?? 'null';
        hear(safe, JSON.parse(text));
        hear(unsafe, JSON.parse(text));
        for (const name of Object.keys(guarded) as (keyof typeof guarded)[]) {
          expect(guarded[name], `${name} SEED=${dice.seed}: ${text}`).not.toThrow();
          if (shown(safe)?.cursor != null) shownAt[name] = (shownAt[name] ?? 0) + 1;
          try {
            bare[name]();
          } catch {
            failures[name] = (failures[name] ?? 0) + 1;
          }
        }
      }
      safe.destroy();
      unsafe.destroy();
    }
    for (const name of ['prosemirror', 'tiptap', 'codemirror', 'raw']) {
      expect(failures[name], name).toBeGreaterThan(RUNS / 100);
      // And it is not for having been shown nothing.
      expect(shownAt[name], name).toBeGreaterThan(RUNS / 1_000);
    }
  });
});
