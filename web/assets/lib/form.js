/** Fields of forms, and what the server says is wrong with them. */
import { h, replace } from './dom.js';
import { icon } from './icons.js';
import { Problem } from './problem.js';

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */

let count = 0;

/**
 * Puts a label, a hint and a place for what is wrong around a control.
 * @param {string} label
 * @param {Control} control its `name` is the field's name in refusals
 * @param {string} [hint]
 * @returns {HTMLDivElement}
 */
export function field(label, control, hint) {
  count += 1;
  control.id = `field-${count}`;
  control.setAttribute('aria-describedby', hint ? `hint-${count} error-${count}` : `error-${count}`);
  return h(
    'div.field',
    h('label', { for: control.id }, label),
    control,
    hint && h('p.hint', { id: `hint-${count}` }, hint),
    h('p.field-error', { id: `error-${count}` }),
  );
}

/**
 * Makes a list to choose from.
 * @param {string} name
 * @param {[value: string, text: string][]} options
 * @param {string} [value] the one that is chosen at first
 * @returns {HTMLSelectElement}
 */
export function select(name, options, value) {
  const selected = (/** @type {string} */ option) => option === value;
  return h(
    'select',
    { name },
    options.map(([option, text]) => h('option', { value: option, selected: selected(option) }, text)),
  );
}

/**
 * Makes a box to tick.
 * @param {string} name
 * @param {string} label
 * @param {{ checked?: boolean, hint?: string, value?: string }} [options]
 * @returns {HTMLLabelElement}
 */
export function checkbox(name, label, { checked = false, hint, value = 'on' } = {}) {
  return h(
    'label.check',
    h('input', { type: 'checkbox', name, value, checked }),
    h('span', label),
    hint && h('span.hint', hint),
  );
}

/**
 * Says in a form what went wrong: beside the fields at fault, and for the rest in a notice at `place`. The first field at fault
 * gets the focus.
 * @param {HTMLFormElement} form
 * @param {Element} place
 * @param {unknown} cause
 */
export function showRefusal(form, place, cause) {
  if (!(cause instanceof Problem)) throw cause;
  clearRefusal(form, place);
  const others = [];
  for (const [name, faults] of Object.entries(cause.fieldErrors)) {
    const control = form.elements.namedItem(name);
    if (isControl(control) && control.id) blame(control, faults.join('; '));
    else others.push(`${name} ${faults.join('; ')}`);
  }
  const first = form.querySelector('[aria-invalid=true]');
  if (first instanceof HTMLElement) first.focus();
  if (first && !others.length) return;
  replace(
    place,
    h('div.notice.bad', { role: 'alert' }, icon('alert'), h('p', others.length ? others.join('. ') : cause.message)),
  );
}

/**
 * Takes back what `showRefusal` said.
 * @param {HTMLFormElement} form
 * @param {Element} place
 */
export function clearRefusal(form, place) {
  replace(place);
  for (const control of form.querySelectorAll('[aria-invalid]')) control.removeAttribute('aria-invalid');
  for (const text of form.querySelectorAll('.field-error')) replace(text);
}

/**
 * @param {unknown} element
 * @returns {element is Control}
 */
function isControl(element) {
  return (
    element instanceof HTMLInputElement ||
    element instanceof HTMLSelectElement ||
    element instanceof HTMLTextAreaElement
  );
}

/**
 * @param {Control} control
 * @param {string} text
 */
function blame(control, text) {
  control.setAttribute('aria-invalid', 'true');
  const place = document.getElementById(control.id.replace('field', 'error'));
  if (place) replace(place, text);
}
