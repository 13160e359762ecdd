/**
 * JSON as it was written. `JSON.parse` turns numbers into doubles, which changes `12345678901234567890123`, moves names that look like numbers
 * to the front, and keeps only the last member of a repeated name. What a person sees comes from the text itself.
 *
 * All functions expect text that `JSON.parse` accepts.
 */

/** Tokens: strings with their quotes, one of `{}[],:`, or anything else up to white space or one of these. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * The members of an object in order, each value as it was written. Repeated members are returned repeatedly.
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
 * Formats a value for display: strings unquoted, anything else on one line, numbers as they were written.
 * @param {string} value
 * @returns {string}
 */
export function shown(value) {
  return value.startsWith('"') ? JSON.parse(value) : (value.match(TOKENS) ?? []).map(spelled).join('');
}

/**
 * Formats a value over several lines, indented by two spaces.
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
