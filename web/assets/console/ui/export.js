/** The button that saves what a list holds as a CSV file. */
import { toast } from '../../lib/dom.js';
import { Problem } from '../../lib/problem.js';
import { csv, save } from '../csv/write.js';
import { button } from './elements.js';

/** The most rows of a file: whole pages. */
const MOST = 10_000;
const PAGE_SIZE = 500;

/**
 * Makes the button; null for a list without columns that have a text.
 * @template T
 * @param {string} caption of the list, and of the file
 * @param {import('./table.js').Column<T>[]} columns
 * @param {() => (paging: { pageSize: number, pageToken?: string }) => Promise<{ rows: T[], next: string }>} reader of the list as it is asked for at the time
 * @param {AbortSignal} signal aborted when the view is left
 */
export function exportButton(caption, columns, reader, signal) {
  const shown = columns.filter(({ text }) => text);
  if (!shown.length) return null;
  const made = button('Export CSV', run, { look: 'small' });
  return made;

  async function run() {
    if (made.ariaBusy === 'true') return;
    made.ariaBusy = 'true';
    try {
      const { rows, more } = await readAll(reader());
      const lines = rows.map((row) => shown.map(({ text }) => text?.(row) ?? ''));
      const day = new Date().toISOString().slice(0, 10);
      save(
        `${caption.toLowerCase().replaceAll(' ', '-')}-${day}.csv`,
        csv(
          shown.map(({ label }) => label),
          lines,
        ),
      );
      toast(
        more
          ? `Exported the first ${MOST} rows`
          : rows.length === 1
            ? 'Exported 1 row'
            : `Exported ${rows.length} rows`,
      );
    } catch (cause) {
      if (signal.aborted) return;
      if (!(cause instanceof Problem)) throw cause;
      toast(`Not exported. ${cause.message}`, { tone: 'bad' });
    } finally {
      made.ariaBusy = null;
    }
  }
}

/**
 * @template T
 * @param {(paging: { pageSize: number, pageToken?: string }) => Promise<{ rows: T[], next: string }>} read
 */
async function readAll(read) {
  /** @type {T[]} */
  const rows = [];
  /** @type {string | undefined} */
  let pageToken;
  do {
    const page = await read({ pageSize: PAGE_SIZE, pageToken });
    rows.push(...page.rows);
    pageToken = page.next;
  } while (pageToken && rows.length < MOST);
  return { rows, more: Boolean(pageToken) };
}
