/** Names and values. */
import { h } from '../../lib/dom.js';

/** @typedef {import('../../lib/dom.js').Child} Child */

/**
 * Lists names with their values; what has none is left out.
 * @param {(false | '' | null | undefined | [name: string, value: Child])[]} entries
 */
export function facts(entries) {
  const given = entries.filter((entry) => Array.isArray(entry));
  return h(
    'dl.facts',
    given.map(([name, value]) => [h('dt', name), h('dd', value)]),
  );
}
