/** Buttons that do something. */
import { h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';

/**
 * Makes a button.
 * @param {string} text
 * @param {(event: Event) => unknown} onclick
 * @param {{ look?: string, icon?: import('../../lib/icons.js').IconName }} [options] `look`: classes of the design system
 */
export function button(text, onclick, { look = '', icon: drawn } = {}) {
  return h('button.button', { type: 'button', class: look, onclick }, drawn && icon(drawn), text);
}
