/** Whether any of a token is where it should not be. */

/** Letters: fewer may be anywhere. */
const SHORT = 16;

/**
 * @param texts by what they are
 * @returns what was found, without the token
 */
export function leaks(tokens, texts) {
  const found = [];
  for (const token of tokens) {
    // The header is that of every token; what comes behind it is this one's alone, if it is long.
    for (const part of [token, ...token.split('.').slice(1)]) {
      if (part.length < SHORT) continue;
      for (const [name, text] of Object.entries(texts)) {
        if (text.includes(part))
          found.push(`a part of a token (${part.length} letters) is in the ${name}`);
      }
    }
  }
  return [...new Set(found)];
}
