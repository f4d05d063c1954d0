/**
 * Which known setting somebody meant who wrote another name.
 *
 * The environment is full of names of other programs. So a name is near only where few letters
 * differ for its length, or one word of at least three.
 */

/** @returns the nearest of `names`; several where only a word tells them apart; none where none is near */
export function nearestNames(written: string, names: readonly string[]): readonly string[] {
  const said = spelled(written);
  const [nearest] = names
    .map((name) => ({ name, meant: spelled(name) }))
    // As many letters are missing or too many: that much is known without comparing them.
    .filter(({ meant }) => Math.abs(meant.length - said.length) <= mostEdits(meant))
    .map(({ name, meant }) => ({ name, most: mostEdits(meant), edits: editDistance(said, meant) }))
    .filter(({ most, edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits);
  if (nearest !== undefined) return [nearest.name];
  const words = wordsOf(written);
  return words.length < 3 ? [] : names.filter((name) => isOneWordOff(words, wordsOf(name)));
}

/** Without what a name is often written with, or without: capitals, separators, the product's name before it. */
function spelled(name: string): string {
  return name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '')
    .replace(/^COWRITE(?=.)/, '');
}

function mostEdits({ length }: string): number {
  if (length < 8) return 1;
  return length < 12 ? 2 : 3;
}

function wordsOf(name: string): readonly string[] {
  return name.toUpperCase().split('_');
}

function isOneWordOff(said: readonly string[], meant: readonly string[]): boolean {
  return said.length === meant.length && meant.filter((word, i) => word !== said[i]).length === 1;
}

/** Letters that are one too many, missing, other ones, or two that have changed places. */
export function editDistance(a: string, b: string): number {
  let [before, last]: [number[], number[]] = [
    [],
    Array.from({ length: b.length + 1 }, (_, j) => j),
  ];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const other = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + other);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
