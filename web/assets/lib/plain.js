/** Makes untrusted text show exactly what it contains. */

/**
 * Control and format characters, including those that change the direction of text, and line breaks of any kind. Excludes joiners between
 * letters or emoji, which would change without them.
 */
const HIDDEN =
  /(?!(?<=[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200c\u200d](?=[\p{L}\p{M}\p{Extended_Pictographic}]))[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu;

/**
 * Makes characters visible that are invisible or move the text around them: `↵` for a line feed, `[U+202E]` for a change of
 * direction. Put the result into its own element (`<bdi>`), since letters have a direction, too.
 * @param {string} text
 */
export function plain(text) {
  return text.replace(HIDDEN, (character) => {
    if (character === '\n') return '↵';
    const code = /** @type {number} */ (character.codePointAt(0)).toString(16);
    return `[U+${code.toUpperCase().padStart(4, '0')}]`;
  });
}

/**
 * Makes such characters visible in a text of several lines, whose line breaks and tabs stay.
 * @param {string} text
 */
export function plainLines(text) {
  return text
    .split(/\r?\n/)
    .map((line) => line.split('\t').map(plain).join('\t'))
    .join('\n');
}
