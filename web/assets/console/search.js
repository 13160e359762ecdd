/** One search field for the console: pages, relying parties, and what belongs to the chosen one. */
import { tell } from '../lib/dialog.js';
import { h, replace } from '../lib/dom.js';
import { counted } from '../lib/format.js';
import { icon } from '../lib/icons.js';
import { pause } from '../lib/pause.js';
import { chooseRelyingParty, relyingPartyName } from './relying_parties.js';
import { findHere, findThere } from './search/find.js';
import { foreign } from './ui/elements.js';

/** @typedef {import('./search/find.js').Found} Found */

/** Milliseconds without a key after which the server is searched. What is read of people is in the audit log: not each letter is. */
const PAUSE = 300;
/** The longest text that anything has. */
const LONGEST = 255;

/**
 * Opens the search.
 * @returns {Promise<void>} when it is closed
 */
export function openSearch() {
  const relyingParty = chooseRelyingParty();
  const scope = relyingParty && relyingPartyName(relyingParty);
  const input = h('input', {
    type: 'search',
    name: 'text',
    maxlength: LONGEST,
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: 'User, device, credential, trusonafication or page',
    'aria-label': 'Search',
  });
  input.autofocus = true;
  const status = h('p.small.muted', { role: 'status' }, hint());
  const results = h('ul.results');
  const form = h('form.stack', { role: 'search' }, h('div.search', icon('search'), input), status, results);
  let searching = new AbortController();

  input.addEventListener('input', () => void search());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    results.querySelector('a')?.click();
  });
  form.addEventListener('keydown', move);
  results.addEventListener('click', ({ target }) => {
    if (target instanceof Element && target.closest('a')) form.closest('dialog')?.close();
  });

  function hint() {
    const about = 'Users are found by the beginning of their identifier, devices by name or identifier.';
    return scope ? [about, ' In ', foreign(scope), '.'] : about;
  }

  async function search() {
    searching.abort();
    searching = new AbortController();
    const { signal } = searching;
    const text = input.value.trim();
    if (!text) {
      replace(results);
      return void replace(status, hint());
    }
    const here = findHere(text, relyingParty);
    replace(results, here.map(result));
    status.textContent = 'Searching';
    try {
      await pause(PAUSE, signal);
      const { found: there, failed } = await findThere({ text, relyingParty, signal });
      if (signal.aborted) return;
      const found = [...there, ...here];
      replace(results, found.map(result));
      status.textContent = failed.length ? incomplete(found.length, failed) : count(found.length);
    } catch (cause) {
      if (!signal.aborted) throw cause;
    }
  }

  return tell({ title: 'Search', body: form }).then(() => searching.abort());
}

/** @param {number} found */
function count(found) {
  return found ? counted(found, 'result') : 'No results';
}

/**
 * @param {number} found
 * @param {import('./search/find.js').Results['failed']} failed
 */
function incomplete(found, failed) {
  const what = failed.map((each) => each.what).join(', ');
  const why = [...new Set(failed.map(({ cause }) => cause.sentence))].join(' ');
  return `${found ? `${count(found)}. ` : ''}Not searched: ${what}. ${why}`;
}

/** @param {Found} found */
function result({ kind, text, note, href }) {
  return h(
    'li',
    h(
      'a',
      { href },
      h('span.badge', kind),
      h('span.grow', h('span.line', foreign(text)), note && h('span.line.small.muted', foreign(note))),
    ),
  );
}

/**
 * Moves between the field and the results, or leaves: a search field would first be emptied.
 * @param {KeyboardEvent} event
 */
function move(event) {
  if (event.key === 'Escape' && event.target instanceof Element) {
    event.preventDefault();
    event.target.closest('dialog')?.close();
    return;
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !(event.currentTarget instanceof HTMLElement)) return;
  const stops = [...event.currentTarget.querySelectorAll('input, .results a')];
  const at = stops.indexOf(/** @type {Element} */ (document.activeElement));
  const next = stops[at + step];
  if (!(next instanceof HTMLElement)) return;
  event.preventDefault();
  next.focus();
}
