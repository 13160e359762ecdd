/** The rows of an import, as a CSV file has them. `nodkey admin import` reads the same files. */
import { counted } from '../../lib/format.js';
import { decode, parse } from '../csv/read.js';

/** @typedef {import('../csv/read.js').Fault} Fault */
/** @typedef {{ line: number, userIdentifier: string, deviceIdentifier?: string, active?: true, trusonaId?: string }} Row `ImportRow`, without default values */

/** The columns. The first one is required. */
export const COLUMNS = ['user_identifier', 'device_identifier', 'active', 'trusona_id'];
/** The maximum number of rows. */
const MOST = 50_000;

/**
 * Reads a file. If any line is at fault, there are no rows.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {{ rows: Row[], faults: Fault[] }}
 */
export function readRows(bytes) {
  const { text, faults: undecodable } = decode(bytes);
  if (undecodable.length) return refused(undecodable);
  const { records, faults } = parse(text);
  const [head, ...rest] = records;
  // The line that should name the columns is at fault itself: what follows does not name them.
  if (faults.length && !(head?.line < faults[0].line)) return refused(faults);
  if (!head) return refused([{ line: 1, message: 'the file is empty' }]);
  const wrong = headFault(head.values);
  if (wrong) return refused([{ line: head.line, message: wrong }]);
  if (rest.length > MOST)
    return refused([{ line: rest[MOST].line, message: 'a file may have at most 50,000 rows: split it' }]);
  /** @type {Row[]} */
  const rows = [];
  for (const { line, values } of rest) {
    const fault = valuesFault(head.values, values);
    if (fault) faults.push({ line, message: fault });
    else rows.push(row(line, head.values, values));
  }
  if (faults.length) return refused(faults.sort((one, other) => one.line - other.line));
  if (!rows.length) return refused([{ line: head.line, message: 'no rows follow the column names' }]);
  return { rows, faults: [] };
}

/** @param {Fault[]} faults */
function refused(faults) {
  return { rows: [], faults };
}

/** @param {string[]} names */
function headFault(names) {
  const unknown = names.find((name) => !COLUMNS.includes(name));
  if (unknown !== undefined) return `there is no column “${unknown}”: the columns are ${COLUMNS.join(', ')}`;
  const twice = COLUMNS.find((column) => names.indexOf(column) !== names.lastIndexOf(column));
  if (twice) return `it names the column ${twice} more than once`;
  return names.includes(COLUMNS[0]) ? '' : `it must name the column ${COLUMNS[0]}`;
}

/**
 * @param {string[]} names
 * @param {string[]} values
 */
function valuesFault(names, values) {
  if (values.length !== names.length)
    return `it has ${counted(values.length, 'value')}, but there ${names.length === 1 ? 'is' : 'are'} ${counted(names.length, 'column')}`;
  const active = values[names.indexOf('active')] ?? '';
  if (!['true', 'false', ''].includes(active)) return `active must be true, false or empty, not “${active}”`;
  return '';
}

/**
 * @param {number} line
 * @param {string[]} names
 * @param {string[]} values
 * @returns {Row}
 */
function row(line, names, values) {
  const value = (/** @type {string} */ name) => values[names.indexOf(name)] ?? '';
  return {
    line,
    userIdentifier: value('user_identifier'),
    ...(value('device_identifier') && { deviceIdentifier: value('device_identifier') }),
    ...(value('active') === 'true' && { active: true }),
    ...(value('trusona_id') && { trusonaId: value('trusona_id') }),
  };
}
