/** The top of a view. */
import { h, replace } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';

/** @typedef {import('../../lib/dom.js').Child} Child */
/** @typedef {{ lead?: Child, actions?: Child, back?: { href: string, text: string }, state?: Child }} Options */

/**
 * Names the view; its `h1` gets the focus when the view is entered.
 * @param {Child} title
 * @param {Options} [options]
 */
export function heading(title, { lead, actions, back, state } = {}) {
  return h(
    'header.view-heading',
    back && h('a.back', { href: back.href }, icon('arrowLeft'), back.text),
    h('div.spread', h('div.row', h('h1', { tabindex: -1 }, title), state), actions && h('div.row', actions)),
    lead && h('p.muted', lead),
  );
}

/**
 * Names the view anew, when more is known of what it shows; the focus stays at its name.
 * @param {Element} place
 * @param {Child} title
 * @param {Options} options
 */
export function showHeading(place, title, options) {
  const focused = place.contains(document.activeElement);
  replace(place, heading(title, options));
  if (focused) place.querySelector('h1')?.focus();
}
