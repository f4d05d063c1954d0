/** Presence that is like an editor's own, and in one place what it cannot show. */

type State = Readonly<Record<string, unknown>>;

/**
 * @param honest a state as a client with the same editor makes it
 * @param elsewhere a position in another type of the same document
 */
export function hostileTo(honest: State, elsewhere: unknown): readonly unknown[] {
  const nowhere = { type: null, tname: null, item: null, assoc: 0 };
  const points = [
    {},
    1,
    'x',
    [],
    true,
    null,
    elsewhere,
    nowhere,
    { ...nowhere, tname: '__proto__' },
    { ...nowhere, tname: 'no such type' },
    { ...nowhere, tname: 'elsewhere' },
    { ...nowhere, tname: 'elsewhere', assoc: {} },
    { ...nowhere, item: { client: 1, clock: -1 } },
    { ...nowhere, item: { client: 1, clock: 0.5 } },
    { ...nowhere, item: { client: 1, clock: 7 } },
    { ...nowhere, type: { client: 1, clock: 2 ** 60 } },
    { ...nowhere, type: { client: 1, clock: 7 } },
  ];
  const users = [
    'Eve',
    1,
    true,
    [],
    { name: { toString: 1, valueOf: 1 }, color: [{ toString: 1 }] },
    { name: ['Eve'], color: 'red;position:fixed;inset:0;z-index:9999' },
    { name: '<img src=x onerror="throw 1">', color: 'url(//elsewhere.example/x)' },
    { name: '"}\n* { display: none } \\', color: '#fff } * { display: none }' },
  ];
  return [
    ...points.flatMap((point) => withPoint(honest, point)),
    ...users.flatMap((user) => withUser(honest, user)),
    ...[1, 'x', true, [], [null]],
  ];
}

const RANGES = ['cursor', 'selection'];
const POINTS = ['anchor', 'head', 'focus', 'anchorPos', 'focusPos'];

/** In each field that holds a position, or two, and in all of them. */
function withPoint(honest: State, point: unknown): readonly State[] {
  const points = Object.keys(honest).filter((name) => POINTS.includes(name));
  const all = Object.fromEntries(points.map((name) => [name, point]));
  const ranges = Object.keys(honest).filter((name) => RANGES.includes(name));
  return [
    ...points.map((name) => ({ ...honest, [name]: point })),
    ...(points.length > 0 ? [{ ...honest, ...all }] : []),
    ...ranges.flatMap((name) => [
      { ...honest, [name]: point },
      ...withPoint(honest[name] as State, point).map((range) => ({ ...honest, [name]: range })),
    ]),
  ];
}

function withUser(honest: State, user: unknown): readonly State[] {
  const own = 'name' in honest ? [{ ...honest, ...(user as object) }] : [];
  const fields = Object.keys(honest).filter((name) => ['user', 'data'].includes(name));
  return [...own, ...fields.map((name) => ({ ...honest, [name]: user }))];
}
