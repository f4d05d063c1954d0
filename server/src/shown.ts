/**
 * Text of others on its way to somebody who reads it: on a terminal, in a log, on a page.
 *
 * Names, ids and messages may hold characters that a terminal obeys, that begin another line, or
 * that turn around how the text beside them reads. None of them leaves as it is. No imports: the
 * administrator's page uses it, too.
 */

/** Controls, formats (bidirectional ones too), separators of lines and halves of characters. Joiners are letters' own. */
const OBEYED = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** What a name may hold and not be told from what stands around it. */
const UNCLEAR = /^["\s]|\s$|\s\s|[^\S ]|\\| \(deleted\)$/u;

function codeOf(character: string): string {
  return character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
}

/** Lines for people: as they are, but for what would be obeyed, which is named, such as `<U+202E>`. */
export function visible(text: string): string {
  return text.replace(OBEYED, (character) =>
    character === '\n' || character === '\t' ? character : `<U+${codeOf(character)}>`,
  );
}

/** JSON in which nothing but the ends of its lines is obeyed. It means the same. */
export function escapedJson(json: string): string {
  return json.replace(OBEYED, (character) => {
    if (character === '\n') return character;
    const units = character.length === 1 ? [0] : [0, 1];
    return units
      .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join('');
  });
}

/** As JSON, on one line. */
export function inJson(value: unknown): string {
  return escapedJson(JSON.stringify(value));
}

/** A name on a line of its own or in a table: as it is where that is clear, otherwise as in JSON. */
export function shownName(name: string): string {
  return name.search(OBEYED) < 0 && !UNCLEAR.test(name) ? name : inJson(name);
}
