/** Keyboard shortcuts: `/` searches, `g` and a letter goes to a page, `?` lists them. */
import { tell } from '../lib/dialog.js';
import { h } from '../lib/dom.js';
import { chooseRelyingParty } from './relying_parties.js';
import { address, go } from './router.js';
import { VIEWS } from './views.js';

/** Pages by the letter after `g`. */
const PAGES = /** @type {Record<string, string>} */ ({
  o: 'overview',
  t: 'trusonafications',
  u: 'users',
  e: 'endpoints',
  d: 'deliveries',
  c: 'credentials',
  s: 'settings',
  r: 'relying-parties',
  k: 'signing-keys',
  p: 'operators',
  a: 'audit',
});

/** Milliseconds in which the letter has to follow `g`. */
const FOLLOWS = 2000;

/** Listens to the keyboard from now on; what is typed into a field or a dialog is no shortcut. */
export function listenForShortcuts() {
  let wentAt = -FOLLOWS;
  addEventListener('keydown', (event) => {
    if (isTyping(event)) return;
    const leads = event.timeStamp - wentAt < FOLLOWS;
    wentAt = event.key === 'g' ? event.timeStamp : -FOLLOWS;
    const view = leads && PAGES[event.key];
    if (view) go(address(view, VIEWS[view].scoped ? { rp: chooseRelyingParty() } : {}));
    else if (event.key === '/') void openSearch();
    else if (event.key === '?') void showShortcuts();
    else return;
    event.preventDefault();
  });
}

/** Opens the search, which is fetched when it is first used. */
export async function openSearch() {
  const search = await import('./search.js');
  if (!document.querySelector('dialog[open]')) await search.openSearch();
}

/** @param {KeyboardEvent} event */
function isTyping({ target, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey || document.querySelector('dialog[open]')) return true;
  return target instanceof Element && target.matches('input:not([type=checkbox], [type=radio]), select, textarea');
}

/** Lists the shortcuts. */
export function showShortcuts() {
  const rows = /** @type {[keys: string[], text: string][]} */ ([
    [['/'], 'Search'],
    [['?'], 'Keyboard shortcuts'],
    [['Esc'], 'Close a dialog or menu'],
    ...Object.entries(PAGES).map(([key, view]) => [['g', key], VIEWS[view].title]),
  ]);
  return tell({
    title: 'Keyboard shortcuts',
    body: h(
      'dl.facts',
      rows.map(([keys, text]) => [
        h('dt', text),
        h(
          'dd',
          keys.map((key) => [h('kbd', key), ' ']),
        ),
      ]),
    ),
  });
}
