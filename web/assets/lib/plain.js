/** Text from elsewhere, made so that what is read is what is there. */

/**
 * Control and format characters, among them those that turn the direction of text, and line breaks of any kind. Not what joins letters, or
 * emoji: they would be others without it.
 */
const HIDDEN =
  /(?!(?<=[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200c\u200d](?=[\p{L}\p{M}\p{Extended_Pictographic}]))[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu;

/**
 * Makes characters visible that would show as nothing, or move what is around them: `↵` for a line feed, `[U+202E]` for a
 * change of direction. Put the result into an element of its own (`<bdi>`), since letters have a direction too.
 * @param {string} text
 */
export function plain(text) {
  return text.replace(HIDDEN, (character) => {
    if (character === '\n') return '↵';
    const code = /** @type {number} */ (character.codePointAt(0)).toString(16);
    return `[U+${code.toUpperCase().padStart(4, '0')}]`;
  });
}
