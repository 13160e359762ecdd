/** What a list shows, as a file for spreadsheets (RFC 4180). */
import { h } from '../../lib/dom.js';

/**
 * What a spreadsheet would read as a formula, at the beginning or after what it may take for the end of a cell, with what it skips to find one:
 * space, characters that are not seen, and quotes.
 */
const FORMULA = /(^|[;\t\r\n])((?:(?![\t\r\n])[\s\p{C}"])*[=+\-@＝＋－＠])/gu;
/** What a spreadsheet would skip before anything else. */
const SKIPPED = /^[\t\r\n]/;
/** What has to be quoted: also what separates cells in other countries. */
const SPECIAL = /[",;\t\r\n]/;

/**
 * Writes a table.
 * @param {string[]} head
 * @param {string[][]} rows
 * @returns {string}
 */
export function csv(head, rows) {
  return [head, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** @param {string} text */
function cell(text) {
  // A spreadsheet takes what begins with an apostrophe for text.
  const plain = text.replace(FORMULA, "$1'$2").replace(SKIPPED, "'$&");
  return SPECIAL.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/**
 * Has the browser save a text as a file.
 * @param {string} name
 * @param {string} text
 */
export function save(name, text) {
  // With a byte order mark, by which spreadsheets know UTF-8.
  const url = URL.createObjectURL(new Blob(['\ufeff', text], { type: 'text/csv' }));
  h('a', { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}
