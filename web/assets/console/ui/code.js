/** Long texts of machines. */
import { h } from '../../lib/dom.js';

/**
 * Shows a text as it is; what is long scrolls in its own place, by the keyboard, too.
 * @param {string} label for screen readers
 * @param {import('../../lib/dom.js').Child} text
 */
export function codeBlock(label, text) {
  return h('pre.code.tall', { tabindex: 0, role: 'group', 'aria-label': label }, text);
}
