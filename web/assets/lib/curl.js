/** Calls as curl commands. */

/**
 * The command that makes a call.
 * @param {string} method
 * @param {string} url
 * @param {object} [more]
 * @param {(string | false)[]} [more.options] as the shell reads them: what they name of its variables it replaces; false is left out
 * @param {unknown} [more.body] sent as JSON, if there is one
 * @returns {string}
 */
export function curl(method, url, { options = [], body } = {}) {
  const verb = method.toUpperCase();
  const lines = [`curl -sS${verb === 'GET' ? '' : ` -X ${verb}`} ${quoted(url)}`, ...options.filter(Boolean)];
  if (body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `--data-binary ${quoted(JSON.stringify(body))}`);
  }
  return lines.join(' \\\n  ');
}

/**
 * A word of the shell.
 * @param {string} text
 */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
