/** A list by pages: filters, a table, and what takes its place while there is none. */
import { h, replace } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { exportButton } from './export.js';
import { filterBar } from './filters.js';
import { isOldestFirst } from './period.js';
import { empty as nothing, failure } from './states.js';
import { expectedTable, table, tableRow } from './table.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../../lib/dom.js').Child} Child */

const PAGE_SIZE = 50;
/** As many rows as are kept while new ones come in. */
const MOST = 200;

/**
 * @template T
 * @typedef {object} Options
 * @property {string} caption
 * @property {import('./table.js').Column<T>[]} columns
 * @property {string} method that lists
 * @property {string} rows the field of its answer that holds them
 * @property {(row: T) => string} [id] what identifies a row: its `id`, unless this says otherwise
 * @property {() => object} [message] what it is asked besides the page
 * @property {import('./filters.js').Filter[]} [filters]
 * @property {Child} empty what stands there when there is nothing at all
 * @property {() => void} [onFilter] called when another list is asked for
 */

/**
 * Makes a list, to be read by its `reload`; `put` shows a single row that has changed or is new.
 * @template T
 * @param {Page} page
 * @param {Options<T>} options
 */
export function listing(
  page,
  {
    caption,
    columns,
    method,
    rows: field,
    id = (/** @type {any} */ row) => row.id,
    message = () => ({}),
    filters = [],
    empty,
    onFilter,
  },
) {
  const status = h('p.visually-hidden', { role: 'status' });
  const place = h('div', { tabindex: -1 });
  const pages = pager(page, async () => {
    await reload();
    place.focus({ preventScroll: true });
    element.scrollIntoView({ block: 'start' });
  });
  const files = exportButton(caption, columns, reader, page.signal);
  const footer = h('footer.listing-footer', { role: 'none', hidden: true }, files, pages.element);
  const element = h('div.card.flush.listing', bar(), status, place, footer);
  /** @type {Map<string, HTMLTableRowElement>} */
  const shown = new Map();
  let turn = 0;

  function bar() {
    if (!filters.length) return null;
    return filterBar(filters, page.query, (changes) => {
      if (filters.every(({ name }) => (page.query.get(name) ?? '') === changes[name])) return;
      page.setQuery({ ...changes, page: null });
      void reload();
      onFilter?.();
    });
  }

  /** Reads the pages of one list: what is asked for stays as it is now. */
  function reader() {
    const asked = message();
    return async (/** @type {{ pageSize: number, pageToken?: string }} */ paging) => {
      const answer = await page.read(method, { ...asked, ...paging });
      const next = /** @type {string} */ (answer.nextPageToken ?? '');
      return { rows: /** @type {T[]} */ (answer[field] ?? []), next };
    };
  }

  async function reload() {
    turn += 1;
    const mine = turn;
    if (shown.size) place.ariaBusy = 'true';
    else replace(place, expectedTable(caption, columns));
    try {
      const { rows, next } = await reader()({ pageSize: PAGE_SIZE, pageToken: page.value('page') });
      if (mine !== turn || page.signal.aborted) return;
      fill(rows);
      pages.show(next);
      footer.hidden = pages.element.hidden && !(files && rows.length);
      status.textContent = rows.length === 1 ? '1 row' : `${rows.length} rows`;
    } catch (cause) {
      if (mine !== turn || page.signal.aborted) return;
      shown.clear();
      replace(place, failure(cause, reload));
    } finally {
      if (mine === turn) place.ariaBusy = null;
    }
  }

  /** @param {T[]} rows */
  function fill(rows) {
    const content = table(caption, columns, rows);
    shown.clear();
    content
      .querySelectorAll('tbody tr')
      .forEach((row, i) => shown.set(id(rows[i]), /** @type {HTMLTableRowElement} */ (row)));
    replace(place, rows.length ? content : absence());
  }

  function absence() {
    const filtered = page.query.has('page') || filters.some(({ name }) => page.query.has(name));
    if (!filtered) return empty;
    return nothing({ icon: 'search', title: 'Nothing matches', text: 'Change the filters, or clear them.' });
  }

  /**
   * Shows a row that has changed, or, on the first page of the newest, that is new.
   * @param {T} row
   */
  function put(row) {
    const known = shown.get(id(row));
    if (!known && (page.query.has('page') || isOldestFirst(page.query))) return;
    if (!shown.size) replace(place, table(caption, columns, []));
    const made = tableRow(columns, row);
    made.classList.add('fresh');
    if (known) takePlace(known, made);
    else body().prepend(made);
    shown.set(id(row), made);
    if (shown.size > MOST) drop();
  }

  /** @returns {HTMLTableSectionElement} */
  function body() {
    return /** @type {HTMLTableSectionElement} */ (place.querySelector('tbody'));
  }

  /** Drops the row that has been shown for longest. */
  function drop() {
    const last = body().lastElementChild;
    last?.remove();
    for (const [key, row] of shown) if (row === last) shown.delete(key);
  }

  return { element, reload, put };
}

/**
 * Puts a row in the place of another, the focus with it.
 * @param {HTMLElement} known
 * @param {HTMLElement} made
 */
function takePlace(known, made) {
  const focused = known.contains(document.activeElement);
  known.replaceWith(made);
  if (focused) made.querySelector('a')?.focus();
}

/**
 * Makes the buttons to turn the page. The token of the page that is shown is in the address; those of the pages before it go with the address in
 * the browser's history, since a list tells only the next one.
 * @param {Page} page
 * @param {() => void} onTurn
 */
function pager(page, onTurn) {
  const back = h('button.button.small', { type: 'button', onclick: turnBack }, icon('chevronLeft'), 'Previous');
  const forward = h('button.button.small', { type: 'button', onclick: turnForward }, 'Next', icon('chevronRight'));
  const position = h('span.grow');
  const element = h('nav.pager', { 'aria-label': 'Pages', hidden: true }, position, back, forward);
  let next = '';

  /** @returns {string[]} */
  const before = () => history.state?.before ?? [];

  function turnForward() {
    page.setQuery({ page: next }, { before: [...before(), page.query.get('page') ?? ''] });
    onTurn();
  }

  function turnBack() {
    const tokens = before();
    page.setQuery({ page: tokens.at(-1) ?? null }, { before: tokens.slice(0, -1) });
    onTurn();
  }

  /** @param {string} nextPageToken of the page that is shown now */
  function show(nextPageToken) {
    next = nextPageToken;
    const first = !page.query.has('page');
    element.hidden = first && !next;
    back.disabled = first;
    forward.disabled = !next;
    // Who came by a link knows nothing of the pages before it.
    position.textContent = first || before().length ? `Page ${before().length + 1}` : '';
    back.lastChild?.replaceWith(first || before().length ? 'Previous' : 'First page');
  }

  return { element, show };
}
