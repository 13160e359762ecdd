/** Describes schemas in words. */

import { h } from '../lib/dom.js';
import { prose } from './prose.js';

/** @typedef {import('../lib/dom.js').Child} Child */

/**
 * The members of an object, each in a row. Null for any other schema.
 * @param {any} schema
 * @param {(schema: any) => any} resolve follows a reference
 * @returns {HTMLElement | null}
 */
export function members(schema, resolve) {
  const { properties = {}, required = [], allOf = [] } = resolve(schema ?? {});
  const all = [{ properties, required }, ...allOf.map(resolve)];
  const rows = all.flatMap((part) =>
    Object.entries(part.properties ?? {}).map(([name, member]) => {
      const isRequired = (part.required ?? []).includes(name);
      const { description = '' } = { ...resolve(member), ...member };
      return h(
        'tr',
        h('th', { scope: 'row' }, h('code', name), isRequired ? null : h('span.muted', ' optional')),
        h('td', h('span.muted', kind(member, resolve)), description && h('div', prose(description))),
      );
    }),
  );
  return rows.length ? h('div.table-scroll', h('table.table', h('tbody', rows))) : null;
}

/**
 * Describes a value in a few words: its type, and its limits or possible values.
 * @param {any} schema
 * @param {(schema: any) => any} resolve
 * @returns {string}
 */
export function kind(schema, resolve) {
  const it = resolve(schema ?? {});
  const alternatives = it.oneOf ?? it.anyOf;
  if (alternatives) return alternatives.map((/** @type {any} */ one) => kind(one, resolve)).join(' or ');
  if (it.enum) return it.enum.map((/** @type {unknown} */ one) => JSON.stringify(one)).join(', ');
  const types = [it.type ?? []].flat().map((type) => (type === 'array' ? `list of ${kind(it.items, resolve)}` : type));
  const limits = [
    it.format,
    bounds(it.minLength, it.maxLength, 'characters'),
    bounds(it.minItems, it.maxItems, 'items'),
    bounds(it.minimum, it.maximum, ''),
  ];
  return [types.join(' or ') || 'anything', ...limits].filter(Boolean).join(', ');
}

/**
 * @param {number | undefined} least
 * @param {number | undefined} most
 * @param {string} unit
 */
function bounds(least, most, unit) {
  if (least === undefined && most === undefined) return '';
  const range =
    least === undefined ? `at most ${most}` : most === undefined ? `at least ${least}` : `${least} to ${most}`;
  return `${range} ${unit}`.trim();
}
