/** Filters above a list; what they hold is in the address. */
import { h } from '../../lib/dom.js';
import { field, select } from '../../lib/form.js';
import { icon } from '../../lib/icons.js';

/** @typedef {import('../../lib/form.js').Control} Control */

/**
 * @typedef {object} Filter
 * @property {string} name in the address
 * @property {string} label
 * @property {'text' | 'time' | [value: string, text: string][]} kind a list of choices, or what is entered
 * @property {string} [placeholder]
 * @property {string} [none] what a list of choices says when none is chosen
 */

/**
 * Makes the form; each change is told at once.
 * @param {Filter[]} filters
 * @param {URLSearchParams} query what they hold at first
 * @param {(changes: Record<string, string>) => void} onChange
 */
export function filterBar(filters, query, onChange) {
  const controls = filters.map((filter) => control(filter, query.get(filter.name) ?? ''));
  const clear = h('button.button.quiet', { type: 'button' }, icon('close'), 'Clear');
  const form = h(
    'form.filters.inline-fields',
    { role: 'search', 'aria-label': 'Filters' },
    filters.map(({ label }, i) => field(label, controls[i])),
    clear,
  );
  const tell = () => {
    const values = filters.map((filter, i) => [filter.name, valueOf(filter, controls[i])]);
    clear.hidden = values.every(([, value]) => !value);
    onChange(Object.fromEntries(values));
  };
  clear.hidden = filters.every(({ name }) => !query.get(name));
  clear.addEventListener('click', () => {
    for (const each of controls) each.value = '';
    tell();
    controls[0].focus();
  });
  form.addEventListener('change', tell);
  form.addEventListener('submit', (event) => event.preventDefault());
  return form;
}

/**
 * @param {Filter} filter
 * @param {string} value
 * @returns {Control}
 */
function control({ name, kind, placeholder, none = 'Any' }, value) {
  if (Array.isArray(kind)) return select(name, [['', none], ...kind], value);
  if (kind === 'time') return h('input', { type: 'datetime-local', name, value: value && localTime(new Date(value)) });
  return h('input', { type: 'search', name, value, placeholder, autocomplete: 'off', spellcheck: 'false' });
}

/**
 * @param {Filter} filter
 * @param {Control} control
 */
function valueOf({ kind }, { value }) {
  return kind === 'time' && value ? new Date(value).toISOString() : value.trim();
}

/** @param {Date} date */
function localTime(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}
