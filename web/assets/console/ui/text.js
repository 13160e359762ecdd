/** Texts that come from elsewhere, and identifiers. */
import { copyable, copyButton, h } from '../../lib/dom.js';
import { shortId } from '../../lib/format.js';
import { plain } from '../../lib/plain.js';

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
