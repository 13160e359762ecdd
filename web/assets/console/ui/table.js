/** Tables whose rows become cards where there is no room. */
import { h } from '../../lib/dom.js';

/** @typedef {import('../../lib/dom.js').Child} Child */

/**
 * @template T
 * @typedef {object} Column
 * @property {string} label
 * @property {(row: T) => Child} cell of the first column: what names the row
 * @property {(row: T) => string} [text] what a file has of it; of none, the file has no such column
 * @property {boolean} [end] whether it holds numbers, which end in line
 * @property {boolean} [minor] whether a narrow table can do without it
 * @property {boolean} [actions] whether it holds buttons, which need no label in a card
 */

/** Rows that stand for those that are still to come. */
const EXPECTED = 8;

/**
 * Makes a table.
 * @template T
 * @param {string} caption for screen readers
 * @param {Column<T>[]} columns
 * @param {T[]} rows
 * @returns {HTMLElement}
 */
export function table(caption, columns, rows) {
  return frame(
    caption,
    columns,
    rows.map((row) => tableRow(columns, row)),
  );
}

/**
 * Makes one row.
 * @template T
 * @param {Column<T>[]} columns
 * @param {T} row
 * @returns {HTMLTableRowElement}
 */
export function tableRow(columns, row) {
  return h(
    'tr',
    columns.map((column, i) => cell(column, i === 0, column.cell(row))),
  );
}

/**
 * Makes a table that is still to be filled.
 * @param {string} caption
 * @param {Column<any>[]} columns
 */
export function expectedTable(caption, columns) {
  const row = () =>
    h(
      'tr',
      columns.map((column) => cell(column, false, h('span.skeleton'))),
    );
  const element = frame(caption, columns, Array.from({ length: EXPECTED }, row));
  element.ariaBusy = 'true';
  return element;
}

/**
 * @param {string} caption
 * @param {Column<any>[]} columns
 * @param {HTMLTableRowElement[]} rows
 */
function frame(caption, columns, rows) {
  const head = columns.map((column) =>
    h(
      'th',
      { scope: 'col', class: classes(column) },
      column.actions ? h('span.visually-hidden', column.label) : column.label,
    ),
  );
  const content = h(
    'table.table.stackable',
    h('caption.visually-hidden', caption),
    h('thead', h('tr', head)),
    h('tbody', rows),
  );
  content.addEventListener('click', followRow);
  const region = h('div.table-scroll', { role: 'region', 'aria-label': caption }, content);
  new ResizeObserver(() => {
    // Only what scrolls has to be reached by the keyboard.
    if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
    else region.removeAttribute('tabindex');
  }).observe(region);
  return region;
}

/**
 * What tells more when it is pointed at lies above the link that fills its row; a click on it means the link all the same.
 * @param {MouseEvent} event
 */
function followRow({ target }) {
  if (!(target instanceof Element) || target.closest('a, button') || !target.closest('[title]')) return;
  /** @type {HTMLElement | null | undefined} */ (target.closest('tr')?.querySelector('.row-link'))?.click();
}

/** @param {Column<any>} column */
function classes({ end, minor, actions }) {
  return [end && 'end', minor && 'minor', actions && 'actions'].filter(Boolean).join(' ');
}

/**
 * @param {Column<any>} column
 * @param {boolean} first
 * @param {Child} content
 */
function cell(column, first, content) {
  if (first) return h('th', { scope: 'row' }, h('div', content));
  const properties = { 'data-label': column.actions ? null : column.label, class: classes(column) };
  return h('td', properties, h('div', content));
}
