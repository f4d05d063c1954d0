/**
 * What of somebody else's awareness state can be handed to an application.
 *
 * A state is whatever its sender says, who may be allowed to read and nothing else. Editor
 * bindings resolve the relative positions in it without a guard, in the midst of showing a
 * change: one that throws there keeps the change from the page, and what is typed afterwards
 * from the document. They put names and colours into text and CSS as they are, too.
 *
 * Pure but for `knows`. Invariant: what {@link safeState} returns makes neither Yjs throw, which
 * resolves only positions of this form, nor a binding that shows a name or a colour.
 */

/** Names of the fields of a state that hold relative positions. */
export interface Positions {
  /** Two of them, as `anchor` and `head`. Default `cursor` and `selection`. */
  readonly ranges?: readonly string[] | undefined;
  /** One of them. Default `anchor`, `head`, `anchorPos` and `focusPos`. */
  readonly points?: readonly string[] | undefined;
}

/** As the bindings for ProseMirror, CodeMirror, Monaco, Quill, Slate and Lexical name them. */
const RANGES = ['cursor', 'selection'];
const POINTS = ['anchor', 'head', 'anchorPos', 'focusPos'];
/** Fields that say who somebody is; Slate's is the second, which may be anything else elsewhere. */
const USER = 'user';
const DATA = 'data';

/** @returns whether the document has a root type of this name; to be asked only where Yjs would make one */
export type KnowsType = (name: string) => boolean;

type State = Readonly<Record<string, unknown>>;

const MAX_COLOUR = 100;
/** Nothing that ends a declaration; of functions none but those of colours, for others fetch things. */
const COLOUR =
  /^(?:[\w#,.%/\s+)-]|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|color|color-mix|light-dark|var|calc)\()*$/i;
const IS_COLOUR = /colou?r/i;

/** @returns the state itself where nothing in it is unsafe */
export function safeState(state: unknown, positions: Positions, knows: KnowsType): State {
  const { ranges = RANGES, points = POINTS } = positions;
  // Whoever has no fields is somebody all the same.
  if (!isObject(state)) return {};
  return withFields(state, (name, value) => {
    if (ranges.includes(name)) return value === null ? null : range(value, knows);
    if (points.includes(name)) return value === null ? null : point(value, knows);
    if (name === USER) return isObject(value) ? withFields(value, safeText) : undefined;
    if (name === DATA) return isObject(value) ? withFields(value, safeLook) : value;
    return safeLook(name, value);
  });
}

/** What becomes undefined is left out. */
function withFields(of: State, safe: (name: string, value: unknown) => unknown): State {
  const entries = Object.entries(of);
  const kept = entries
    .map(([name, value]) => [name, name === '__proto__' ? undefined : safe(name, value)] as const)
    .filter(([, value]) => value !== undefined);
  const isSame =
    kept.length === entries.length && kept.every(([, value], i) => value === entries[i]![1]);
  return isSame ? of : Object.fromEntries(kept);
}

/** Who somebody is may be put into text, after a conversion that may throw. */
function safeText(name: string, value: unknown): unknown {
  const safe = safeLook(name, value);
  return isText(safe) ? safe : undefined;
}

/** Names are put into text, and colours into CSS: React throws on one that is an object. */
function safeLook(name: string, value: unknown): unknown {
  const isSafe = IS_COLOUR.test(name)
    ? isColour(value)
    : name !== 'name' || typeof value === 'string';
  return isSafe ? value : undefined;
}

/**
 * Whether a conversion to text does not throw. By looking, not by trying: a bundler leaves out a
 * conversion whose result is of no use, and with it what it would have thrown.
 */
function isText(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isText);
  return !isObject(value) || !Object.hasOwn(value, 'toString');
}

function isColour(value: unknown): boolean {
  return typeof value === 'string' && value.length <= MAX_COLOUR && COLOUR.test(value);
}

/** @returns undefined for what is none */
function range(value: unknown, knows: KnowsType): unknown {
  if (!isObject(value)) return undefined;
  const anchor = point(value.anchor, knows);
  // Slate calls it a focus.
  const head = point(value.head ?? value.focus, knows);
  if (anchor === undefined || head === undefined) return undefined;
  if (anchor === value.anchor && head === value.head && !('focus' in value)) return value;
  return { ...value, anchor, head, ...('focus' in value && { focus: head }) };
}

/** @returns it with all of its fields, because not every binding reads it by `createRelativePositionFromJSON`. */
function point(value: unknown, knows: KnowsType): unknown {
  if (!isObject(value)) return undefined;
  const { item = null, type = null, tname = null, assoc = 0 } = value;
  if (!isIdOrNull(item) || !isIdOrNull(type)) return undefined;
  if (typeof tname !== 'string' && tname !== null) return undefined;
  if (!Number.isSafeInteger(assoc ?? 0)) return undefined;
  if (item === null && type === null && tname === null) return undefined;
  // Yjs looks at the first of the three that is there, and makes a root type that is not.
  if (item === null && tname !== null && !knows(tname)) return undefined;
  const isComplete =
    value.item === item && value.type === type && value.tname === tname && value.assoc === assoc;
  return isComplete && assoc !== null ? value : { type, tname, item, assoc: assoc ?? 0 };
}

function isIdOrNull(value: unknown): boolean {
  if (value === null) return true;
  return isObject(value) && isClock(value.client) && isClock(value.clock);
}

function isClock(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: unknown): value is State {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
