/** Form fields, and the server's errors about them. */
import { h, replace } from './dom.js';
import { icon } from './icons.js';
import { Problem } from './problem.js';

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */

let count = 0;

/**
 * Wraps a control with its label, a hint and space for an error.
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
 * Creates a select.
 * @param {string} name
 * @param {[value: string, text: string][]} options
 * @param {string} [value] initially selected
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
 * Creates a checkbox.
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
 * Shows why a form was refused: errors of fields beside them, others in a notice at `place`. Focuses the first field with an error.
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
 * Removes what `showRefusal` has shown.
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
