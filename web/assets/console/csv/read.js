/** Reads CSV files (RFC 4180): quotes, a byte order mark, and line ends of any system. */

/** @typedef {{ line: number, message: string }} Fault */
/** @typedef {{ line: number, values: string[] }} CsvRecord `line`: where it begins; the first line is 1 */

const LINE_FEED = 10;

/**
 * Reads the text of a file. Lines that are not UTF-8 are at fault.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {{ text: string, faults: Fault[] }}
 */
export function decode(bytes) {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    return { text: decoder.decode(bytes), faults: [] };
  } catch {
    return { text: '', faults: undecodable(bytes) };
  }
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function undecodable(bytes) {
  /** @type {Fault[]} */
  const faults = [];
  for (let line = 1, at = 0; at < bytes.length; line += 1) {
    const found = bytes.indexOf(LINE_FEED, at);
    const end = found < 0 ? bytes.length : found;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(at, end));
    } catch {
      faults.push({ line, message: 'it is not UTF-8' });
    }
    at = end + 1;
  }
  return faults;
}

/**
 * Splits a text into records. Space around values does not count, and empty lines are skipped.
 * @param {string} text
 * @returns {{ records: CsvRecord[], faults: Fault[] }}
 */
export function parse(text) {
  /** @type {CsvRecord[]} */
  const records = [];
  /** @type {Fault[]} */
  const faults = [];
  const scanner = { text, at: 0, line: 1 };
  while (scanner.at < text.length) {
    const { line } = scanner;
    if (endOfLine(scanner)) continue;
    const { values, fault } = record(scanner);
    if (fault) faults.push({ line, message: fault });
    else records.push({ line, values });
  }
  return { records, faults };
}

/** @typedef {{ text: string, at: number, line: number }} Scanner */

/**
 * Skips the end of a line, if the scanner is there.
 * @param {Scanner} scanner
 */
function endOfLine(scanner) {
  const { text, at } = scanner;
  const length = text.startsWith('\r\n', at) ? 2 : text[at] === '\n' || text[at] === '\r' ? 1 : 0;
  scanner.at += length;
  if (length) scanner.line += 1;
  return length > 0;
}

/**
 * Reads a record with the end of its line.
 * @param {Scanner} scanner
 */
function record(scanner) {
  const { text } = scanner;
  /** @type {string[]} */
  const values = [];
  let fault = '';
  for (;;) {
    if (text[scanner.at] === '"') {
      const { value, closed } = quoted(scanner);
      if (!closed) return { values, fault: 'a quote is not closed' };
      const rest = bare(scanner);
      if (rest.trim()) fault = 'there is text after a closing quote';
      values.push(value.trim());
    } else {
      values.push(bare(scanner).trim());
    }
    if (text[scanner.at] !== ',') break;
    scanner.at += 1;
  }
  endOfLine(scanner);
  return { values, fault };
}

/**
 * Reads up to the next comma or end of a line.
 * @param {Scanner} scanner
 */
function bare(scanner) {
  const end = /[,\r\n]/g;
  end.lastIndex = scanner.at;
  const at = end.exec(scanner.text)?.index ?? scanner.text.length;
  const value = scanner.text.slice(scanner.at, at);
  scanner.at = at;
  return value;
}

/**
 * Reads a value in quotes; two quotes stand for one.
 * @param {Scanner} scanner
 */
function quoted(scanner) {
  const { text } = scanner;
  let value = '';
  for (let from = scanner.at + 1; ;) {
    const to = text.indexOf('"', from);
    const part = text.slice(from, to < 0 ? text.length : to);
    value += part;
    scanner.line += part.match(/\r\n|\r|\n/g)?.length ?? 0;
    scanner.at = to < 0 ? text.length : to + 1;
    if (to < 0) return { value, closed: false };
    if (text[to + 1] !== '"') return { value, closed: true };
    value += '"';
    from = to + 2;
  }
}
