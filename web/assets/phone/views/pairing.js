/** Between a scan and its question: whose code it is, where it is shown, and whether that is the page before the person. */

import { h } from '../../lib/dom.js';
import { Problem } from '../../lib/problem.js';
import { avatar, button, layout, message } from '../screen.js';
import { told } from '../told.js';
import { explain } from '../words.js';
import { digits } from './question.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../screen.js').Screen} Screen */
/** @typedef {import('../accounts.js').Entry} Entry */

/** How long a page may take to ask, in milliseconds. */
const PATIENCE = 20_000;

/**
 * Reads a code and asks whether to go on.
 * @param {App} app
 * @param {string} text what was scanned
 * @returns {Screen}
 */
export function pairing(app, text) {
  const look = async () => {
    try {
      // Any account can look at a code; whose it is decides who may pair it.
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
 * Accounts at the relying party; all of them when its name is another by now: the gateway tells whether one fits.
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
  const over = () => app.show(unusable(app, 'This code has run out. Use the one that is shown now.'));
  const timer = setTimeout(over, expiresAt - entries[0].phone.now());
  const chosen = () => {
    const id = /** @type {HTMLInputElement | null} */ (element.querySelector('input[name=account]:checked'))?.value;
    return entries.find(({ account }) => account.id === id) ?? entries[0];
  };
  /** @param {string} [number] */
  const goOn = async (number) => {
    element.classList.add('busy');
    try {
      await chosen().phone.pair(scanned, number);
      app.show(waitForQuestion(app, relyingParty));
    } catch (cause) {
      const isOver = cause instanceof Problem && cause.status === 410;
      const again = () => app.show(confirm(app, scanned, entries));
      app.show(unusable(app, explain(cause), isOver ? undefined : again));
    }
  };
  const element = layout({
    back: () => app.next(),
    lead: avatar(relyingParty),
    title: ['Continue at ', told(relyingParty), '?'],
    body: [
      h(
        'dl.facts',
        fact('Page', origin),
        fact('Place', place),
        entries.length === 1 && fact('As', entries[0].account.user),
      ),
      h(
        'p',
        origin ? 'Only if this very page is the one in front of you.' : 'Only if its page is the one in front of you.',
      ),
      entries.length > 1 && accountChoice(entries),
      matchNumber && digits({ label: 'Enter the two digits beside the code', submit: 'Continue', enter: goOn }),
    ],
    actions: [
      !matchNumber && button('primary large', 'Continue', () => goOn()),
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
function waitForQuestion(app, relyingParty) {
  const status = h('p.muted', { role: 'status' }, 'Its question comes in a moment.');
  const timer = setTimeout(() => {
    status.textContent = 'Nothing came so far. Look at the page: it may say why.';
  }, PATIENCE);
  return {
    isIdle: true,
    leave: () => clearTimeout(timer),
    element: layout({
      kind: 'message',
      lead: h('span.spinner.large'),
      title: ['Waiting for ', told(relyingParty)],
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
  return value && [h('dt', name), h('dd', told(value))];
}

/** @param {Entry[]} entries */
function accountChoice(entries) {
  const choices = entries.map(({ account }, i) =>
    h(
      'label.check',
      h('input', { type: 'radio', name: 'account', value: account.id, checked: i === 0 }),
      h('span', told(account.user), h('span.muted', ', ', told(account.relyingParty))),
    ),
  );
  return h('fieldset.field', h('legend', 'As whom?'), choices);
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
