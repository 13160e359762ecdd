/** Periods until now that lists are filtered by, and the order of lists by time. */

/** Hours of each period, by its value in the address. */
const HOURS = /** @type {Record<string, number>} */ ({ '1h': 1, '24h': 24, '7d': 7 * 24, '30d': 30 * 24 });

/** @type {import('./filters.js').Filter} */
export const PERIOD = {
  name: 'period',
  label: 'Period',
  kind: [
    ['1h', 'Last hour'],
    ['24h', 'Last 24 hours'],
    ['7d', 'Last 7 days'],
    ['30d', 'Last 30 days'],
  ],
};

/** @type {import('./filters.js').Filter} */
export const ORDER = { name: 'order', label: 'Order', kind: [['oldest', 'Oldest first']], none: 'Newest first' };

/**
 * When the list begins: at the later one of the period and of the time `after`; undefined for neither.
 * @param {URLSearchParams} query
 * @returns {string | undefined}
 */
export function startOf(query) {
  const hours = HOURS[query.get('period') ?? ''];
  const starts = [Date.parse(query.get('after') ?? ''), hours ? Date.now() - hours * 3_600_000 : NaN];
  const known = starts.filter((start) => !Number.isNaN(start));
  return known.length ? new Date(Math.max(...known)).toISOString() : undefined;
}

/**
 * Whether the oldest come first.
 * @param {URLSearchParams} query
 */
export function isOldestFirst(query) {
  return query.get('order') === 'oldest';
}
