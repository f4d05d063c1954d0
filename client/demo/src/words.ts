/**
 * Random readable names, for documents and for people who have not said who they are. None of the words
 * is one of a button: “Bold Bear” beside “Bold” is hard to tell apart by ear.
 */
const ADJECTIVES =
  'amber brave bright brisk calm clear clever coral cosy crisp curious deft eager early easy fair fleet fond frank fresh gentle glad golden grand green happy hazel honest indigo jolly keen kind lively lucky lunar mellow merry misty neat noble olive patient plain proud quick quiet rapid ready rosy round royal ruby sandy silver smart snowy solar steady still sunny swift tidy vivid warm wise'.split(
    ' ',
  );
const ANIMALS =
  'badger bear beaver bee bison crane crow deer dove duck eagle egret elk falcon fawn finch fox frog gecko goose hare hawk heron horse ibex ibis jay kestrel kite koala lark lemur linnet llama lynx magpie marten mole moose moth newt orca oriole osprey otter owl panda parrot pika plover puffin quail rabbit raven robin salmon seal shrew sparrow stoat swan tern thrush toad trout turtle walrus whale wolf wombat wren yak zebra'.split(
    ' ',
  );

function randomBelow(limit: number): number {
  const [value = 0] = crypto.getRandomValues(new Uint32Array(1));
  return value % limit;
}

export function randomOf<T>(items: readonly T[]): T {
  const item = items[randomBelow(items.length)];
  if (item === undefined) throw new RangeError('nothing to choose from');
  return item;
}

/** @returns a name such as `amber-fox-4821`. */
export function randomRoom(): string {
  return `${randomOf(ADJECTIVES)}-${randomOf(ANIMALS)}-${1000 + randomBelow(9000)}`;
}

/** @returns a name such as `Quiet Heron`. */
export function randomPersonName(): string {
  return [randomOf(ADJECTIVES), randomOf(ANIMALS)]
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(' ');
}
