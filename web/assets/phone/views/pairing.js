/** Between a scan and its request: shows the code's relying party and page, for the person to compare with the page in front of them. */

import { h } from '../../lib/dom.js';
import { Problem } from '../../lib/problem.js';
import { avatar, button, layout, message } from '../screen.js';
import { safeText } from '../safe_text.js';
import { explain } from '../words.js';
import { digits } from './prompt.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../screen.js').Screen} Screen */
/** @typedef {import('../accounts.js').Entry} Entry */

/** How long a page may take to send its request, in milliseconds. */
const PATIENCE = 20_000;

/**
 * Reads a code and lets the person decide whether to continue.
 * @param {App} app
 * @param {string} text what was scanned
 * @returns {Screen}
 */
export function pairing(app, text) {
  const look = async () => {
    try {
      // Any account can read a code. Only one at its relying party can pair it.
      const { all } = app.accounts;
      const scanned = await (all.find(({ state }) => state !== 'gone') ?? all[0]).phone.scan(text);
      app.show(confirm(app, scanned, candidates(app, scanned.relyingParty)));
    } catch (cause) {
      app.show(unusable(app, explain(cause), () => app.show(pairing(app, text))));
    }
  };
  void look();
  return { element: layout({ kind: 'message', lead: h('span.spinner.large'), title: 'Reading the code', body: null }) };
}

/**
 * Accounts at the relying party; all accounts if it has been renamed: the gateway then decides whether the chosen one fits.
 * @param {App} app
 * @param {string} relyingParty
 */
function candidates({ accounts: { all } }, relyingParty) {
  const same = all.filter(({ account }) => account.relyingParty === relyingParty);
  return same.length ? same : all;
}

/**
 * @param {App} app
 * @param {import('../trucode.js').Scanned} scanned
 * @param {Entry[]} entries
 * @returns {Screen}
 */
function confirm(app, scanned, entries) {
  const { relyingParty, origin, place, matchNumber, expiresAt } = scanned;
  const over = () => app.show(unusable(app, 'This code has expired. Scan the one shown now.'));
  const timer = setTimeout(over, expiresAt - entries[0].phone.now());
  const chosen = () => {
    const id = /** @type {HTMLInputElement | null} */ (element.querySelector('input[name=account]:checked'))?.value;
    return entries.find(({ account }) => account.id === id) ?? entries[0];
  };
  /** @param {string} [number] */
  const proceed = async (number) => {
    element.classList.add('busy');
    try {
      await chosen().phone.pair(scanned, number);
      app.show(waitForPrompt(app, relyingParty));
    } catch (cause) {
      const isOver = cause instanceof Problem && cause.status === 410;
      const again = () => app.show(confirm(app, scanned, entries));
      app.show(unusable(app, explain(cause), isOver ? undefined : again));
    }
  };
  const element = layout({
    back: () => app.next(),
    lead: avatar(relyingParty),
    title: ['Continue at ', safeText(relyingParty), '?'],
    body: [
      h(
        'dl.facts',
        fact('Page', origin),
        fact('Location', place),
        entries.length === 1 && fact('Account', entries[0].account.user),
      ),
      h(
        'p',
        origin ? 'Continue only if this is the page in front of you.' : 'Continue only if its page is in front of you.',
      ),
      entries.length > 1 && accountChoice(entries),
      matchNumber && digits({ label: 'Enter the two digits beside the code', submit: 'Continue', enter: proceed }),
    ],
    actions: [
      !matchNumber && button('primary large', 'Continue', () => proceed()),
      button('large', 'Cancel', () => app.next()),
    ],
  });
  return { element, leave: () => clearTimeout(timer) };
}

/**
 * @param {App} app
 * @param {string} relyingParty
 * @returns {Screen}
 */
function waitForPrompt(app, relyingParty) {
  const status = h('p.muted', { role: 'status' }, 'The request arrives in a moment.');
  const timer = setTimeout(() => {
    status.textContent = 'Nothing has arrived yet. The page may say why.';
  }, PATIENCE);
  return {
    isIdle: true,
    leave: () => clearTimeout(timer),
    element: layout({
      kind: 'message',
      lead: h('span.spinner.large'),
      title: ['Waiting for ', safeText(relyingParty)],
      body: status,
      actions: button('large', 'Close', () => app.next()),
    }),
  };
}

/**
 * @param {string} name
 * @param {string | null} value
 */
function fact(name, value) {
  return value && [h('dt', name), h('dd', safeText(value))];
}

/** @param {Entry[]} entries */
function accountChoice(entries) {
  const choices = entries.map(({ account }, i) =>
    h(
      'label.check',
      h('input', { type: 'radio', name: 'account', value: account.id, checked: i === 0 }),
      h('span', safeText(account.user), h('span.muted', ', ', safeText(account.relyingParty))),
    ),
  );
  return h('fieldset.field', h('legend', 'Which account?'), choices);
}

/**
 * @param {App} app
 * @param {string} why
 * @param {() => void} [retry]
 */
function unusable(app, why, retry) {
  return message({
    icon: 'alert',
    tone: 'bad',
    title: 'This code cannot be used',
    body: h('p', why),
    actions: [retry && button('primary large', 'Try again', retry), button('large', 'Close', () => app.next())],
  });
}
