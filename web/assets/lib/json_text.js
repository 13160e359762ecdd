/**
 * JSON as it was written. `JSON.parse` makes doubles of numbers, so that `12345678901234567890123` is another one, puts names that look
 * like numbers first, and takes the last of two members of one name. What a person is shown comes from the text itself.
 *
 * All of it takes texts that `JSON.parse` has taken.
 */

/** Strings with their quotes, and what is between them: one of `{}[],:`, or anything else up to white space and to these. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * The members of an object in their order, each value as it was written. A member that is there twice is here twice.
 * @param {string} object
 * @returns {[name: string, value: string][]}
 */
export function members(object) {
  /** @type {[string, string][]} */
  const found = [];
  let depth = 0;
  let start = 0;
  /** @type {string | undefined} */
  let name;
  for (const { 0: token, index } of object.matchAll(TOKENS)) {
    if (depth === 1) {
      if (token === ':') start = index + 1;
      else if (name === undefined && token.startsWith('"')) name = JSON.parse(token);
      else if (name !== undefined && (token === ',' || token === '}')) {
        found.push([name, object.slice(start, index).trim()]);
        name = undefined;
      }
    }
    if (token === '{' || token === '[') depth += 1;
    if (token === '}' || token === ']') depth -= 1;
  }
  return found;
}

/**
 * A value for people: a text as it reads, anything else on one line, with numbers as they were written.
 * @param {string} value
 * @returns {string}
 */
export function shown(value) {
  return value.startsWith('"') ? JSON.parse(value) : (value.match(TOKENS) ?? []).map(spelled).join('');
}

/**
 * The same over several lines, two spaces a level.
 * @param {string} value
 */
export function indented(value) {
  let text = '';
  let before = '';
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  for (const [token] of value.matchAll(TOKENS)) {
    const [opens, closes] = [before === '{' || before === '[', token === '}' || token === ']'];
    if (closes) depth -= 1;
    if (opens ? !closes : closes || before === ',') text += line();
    text += token === ':' ? ': ' : spelled(token);
    if (token === '{' || token === '[') depth += 1;
    before = token;
  }
  return text;
}

/** @param {string} token */
function spelled(token) {
  return token.startsWith('"') ? JSON.stringify(JSON.parse(token)) : token;
}
