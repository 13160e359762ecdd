/** Calls as curl commands, with a bearer token that the reader supplies (docs/protocol/bearer.md). */

/**
 * @typedef {object} ShownCall
 * @property {'backend' | 'page'} by who makes it: the bank's backend, with a token, or its page, without
 * @property {string} method
 * @property {string} path
 * @property {unknown} [request] body
 */

/**
 * The command that makes a call. It contains no secret: `$TOKEN` is for the reader to set.
 * @param {string} gateway the deployment's public URL
 * @param {ShownCall} call
 */
export function curl(gateway, { by, method, path, request }) {
  const lines = [`curl -sS${method === 'GET' ? '' : ` -X ${method}`} ${quoted(gateway + path)}`];
  if (by === 'backend') lines.push('-H "Authorization: Bearer $TOKEN"');
  if (request !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `--data-binary ${quoted(JSON.stringify(request))}`);
  }
  return lines.join(' \\\n  ');
}

/**
 * Quotes a text for the shell.
 * @param {string} text
 */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
