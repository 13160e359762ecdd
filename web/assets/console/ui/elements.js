/** What every view is made of: its heading, buttons, names and values, texts that come from elsewhere, and identifiers. */
import { copyButton, copyable, h, replace } from '../../lib/dom.js';
import { shortId } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { plain } from '../../lib/plain.js';

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

/**
 * Makes a button.
 * @param {string} text
 * @param {(event: Event) => unknown} onclick
 * @param {{ look?: string, icon?: import('../../lib/icons.js').IconName }} [options] `look`: classes of the design system
 */
export function button(text, onclick, { look = '', icon: drawn } = {}) {
  return h('button.button', { type: 'button', class: look, onclick }, drawn && icon(drawn), text);
}

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

/**
 * Shows a text somebody else wrote so that it can neither hide characters nor turn its surroundings.
 * @param {string} text
 */
export function foreign(text) {
  return h('bdi', plain(text));
}

/**
 * Shows an identifier shortened, to be copied whole.
 * @param {string} id
 * @param {string} label what it identifies
 */
export function identifier(id, label) {
  return copyable(id, { label, shown: shortId(id) });
}

/**
 * Shows an identifier shortened, as a link to what it identifies, to be copied whole.
 * @param {string} id
 * @param {string} label what it identifies
 * @param {string} href
 */
export function identifierLink(id, label, href) {
  return h('span.copyable', h('a', { href, title: id }, h('code', shortId(id))), copyButton(id, label));
}

/** Stands where there is no value; cards leave it out. */
export function none() {
  return h('span.muted.none', '–');
}

/**
 * Shows a text as it is; what is long scrolls in its own place, by the keyboard, too.
 * @param {string} label for screen readers
 * @param {import('../../lib/dom.js').Child} text
 */
export function codeBlock(label, text) {
  return h('pre.code.tall', { tabindex: 0, role: 'group', 'aria-label': label }, text);
}
