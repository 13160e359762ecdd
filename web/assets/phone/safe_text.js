/** Safe rendering of untrusted text on a small screen: all of it can be read, and none of it can pose as something else. */

import { h } from '../lib/dom.js';
import { plain } from '../lib/plain.js';

/** Characters of a text, and number of fields, that are shown at first. */
const LONG = 240;
const MANY = 12;
/** Length from which a heading is set smaller, in characters. */
const WORDY = 60;

/**
 * Renders a text. A long one is cut, with a button that shows all of it.
 * @param {string} text
 */
export function safeText(text) {
  const whole = plain(text);
  if (whole.length <= LONG) return h('bdi.safe-text', { class: whole.length > WORDY ? 'long' : '' }, whole);
  const shown = h('bdi.safe-text.long', `${whole.slice(0, LONG).toWellFormed()}…`);
  const showAll = () => {
    more.remove();
    shown.classList.add('whole');
    shown.tabIndex = 0;
    shown.textContent = whole;
    shown.focus();
  };
  const label = `Show all ${whole.length.toLocaleString('en')} characters`;
  const more = h('button.button.small', { type: 'button', onclick: showAll }, label);
  return h('span.safe-text.cut', shown, more);
}

/**
 * Renders custom fields as a list of names and values.
 * @param {[name: string, value: string][]} fields
 */
export function safeFields(fields) {
  const list = h('dl.facts', fields.slice(0, MANY).map(fieldRow));
  if (fields.length <= MANY) return list;
  const showAll = () => {
    more.remove();
    for (const field of fields.slice(MANY)) list.append(...fieldRow(field));
  };
  const label = `Show ${(fields.length - MANY).toLocaleString('en')} more`;
  const more = h('button.button.small', { type: 'button', onclick: showAll }, label);
  return h('div.stack', list, more);
}

/** @param {[name: string, value: string]} field */
function fieldRow([name, value]) {
  return [h('dt', safeText(name)), h('dd', safeText(value))];
}
