/** Text by others on a phone's small screen: all of it can be seen, and none of it can pose as something else. */

import { h } from '../lib/dom.js';
import { plain } from '../lib/plain.js';

/** Characters of a text, and fields, that are shown at first. */
const LONG = 240;
const MANY = 12;
/** Characters from which on a heading is set smaller. */
const WORDY = 60;

/**
 * A text as it is; what is too long is cut, which is said, and shown when wanted.
 * @param {string} text
 */
export function told(text) {
  const whole = plain(text);
  if (whole.length <= LONG) return h('bdi.told', { class: whole.length > WORDY ? 'long' : '' }, whole);
  const shown = h('bdi.told.long', `${whole.slice(0, LONG).toWellFormed()}…`);
  const showAll = () => {
    more.remove();
    shown.classList.add('whole');
    shown.tabIndex = 0;
    shown.textContent = whole;
    shown.focus();
  };
  const label = `Show all ${whole.length.toLocaleString('en')} characters`;
  const more = h('button.button.small', { type: 'button', onclick: showAll }, label);
  return h('span.told.cut', shown, more);
}

/**
 * Custom fields as a list of names and values.
 * @param {[name: string, value: string][]} fields
 */
export function toldFields(fields) {
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
  return [h('dt', told(name)), h('dd', told(value))];
}
