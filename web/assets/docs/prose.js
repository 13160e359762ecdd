/** Renders the part of Markdown that descriptions use. */

import { h } from '../lib/dom.js';

/** @typedef {import('../lib/dom.js').Child} Child */

/**
 * Text with `code` and **bold** words.
 * @param {string} text
 * @returns {Child[]}
 */
export function prose(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith('`')) return h('code', part.slice(1, -1));
    if (part.startsWith('**')) return h('strong', part.slice(2, -2));
    return part;
  });
}

/**
 * The same in paragraphs.
 * @param {string} text
 * @returns {HTMLElement[]}
 */
export function paragraphs(text) {
  return text.split('\n\n').map((paragraph) => h('p', prose(paragraph)));
}
