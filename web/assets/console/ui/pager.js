/** Forward and back through a list by page tokens. */
import { h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';

/** @typedef {import('../page.js').Page} Page */

/**
 * Makes the buttons. The token of the page that is shown is in the address; those of the pages before it go with the address in
 * the browser's history, since a list tells only the next one.
 * @param {Page} page
 * @param {() => void} onTurn
 */
export function pager(page, onTurn) {
  const back = h('button.button.small', { type: 'button', onclick: turnBack }, icon('chevronLeft'), 'Previous');
  const forward = h('button.button.small', { type: 'button', onclick: turnForward }, 'Next', icon('chevronRight'));
  const position = h('span.grow');
  const element = h('nav.pager', { 'aria-label': 'Pages', hidden: true }, position, back, forward);
  let next = '';

  /** @returns {string[]} */
  const before = () => history.state?.before ?? [];

  function turnForward() {
    page.setQuery({ page: next }, { before: [...before(), page.query.get('page') ?? ''] });
    onTurn();
  }

  function turnBack() {
    const tokens = before();
    page.setQuery({ page: tokens.at(-1) ?? null }, { before: tokens.slice(0, -1) });
    onTurn();
  }

  /** @param {string} nextPageToken of the page that is shown now */
  function show(nextPageToken) {
    next = nextPageToken;
    const first = !page.query.has('page');
    element.hidden = first && !next;
    back.disabled = first;
    forward.disabled = !next;
    // Who came by a link knows nothing of the pages before it.
    position.textContent = first || before().length ? `Page ${before().length + 1}` : '';
    back.lastChild?.replaceWith(first || before().length ? 'Previous' : 'First page');
  }

  return { element, show };
}
