/** Transfers an account to a new phone: the code that the new phone shows, and the confirmation on the old one. */

import { copyable, h, replace } from '../../lib/dom.js';
import { includes } from '../../lib/jose.js';
import { pause } from '../../lib/pause.js';
import { qrSvg } from '../../lib/qr.js';
import { PresenceDenied } from '../errors.js';
import { readTransferRequest } from '../transfer.js';
import { avatar, button, layout, message } from '../screen.js';
import { safeText } from '../safe_text.js';
import { explain } from '../words.js';
import { added } from './add.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../screen.js').Screen} Screen */
/** @typedef {import('../accounts.js').Entry} Entry */
/** @typedef {import('../transfer.js').Act} Act */
/** @typedef {import('../transfer.js').TransferRequest} TransferRequest */

/** How long a code is shown before the next one, in milliseconds. It is valid for ten minutes. */
const FRESH = 9 * 60_000;
/** How often the new phone polls whether it was bound, in milliseconds. */
const POLL_INTERVAL = 2_000;

/**
 * On the new phone: shows a code until the old phone has bound this one.
 * @param {App} app
 * @param {Entry} entry
 * @returns {Screen}
 */
export function transferCode(app, entry) {
  const leaving = new AbortController();
  const { signal } = leaving;
  const place = h('div.transfer-code', h('span.skeleton'));
  const status = h('p.small', { role: 'status' }, 'Waiting for your old phone.');
  const again = button('small', 'Try again', () => start());
  /** @param {AbortSignal} until */
  const offer = async (until) => {
    for (;;) {
      const code = await entry.phone.transferRequest();
      until.throwIfAborted();
      replace(place, [qrSvg(code, 'Code for your old phone'), copyable(code, { label: 'code' })]);
      await pause(FRESH, until);
    }
  };
  /** @param {AbortSignal} until */
  const look = async (until) => {
    while (!(await entry.phone.status()).is_active) await pause(POLL_INTERVAL, until);
    const { account } = await app.accounts.activated(entry);
    until.throwIfAborted();
    app.show(added(app, account));
  };
  const start = async () => {
    // Whichever ends first ends the other, so that only one attempt runs at a time.
    const attempt = new AbortController();
    const until = AbortSignal.any([signal, attempt.signal]);
    again.hidden = true;
    status.textContent = 'Waiting for your old phone.';
    try {
      await Promise.race([offer(until), look(until)]);
    } catch (cause) {
      if (signal.aborted) return;
      status.textContent = explain(cause);
      again.hidden = false;
    } finally {
      attempt.abort();
    }
  };
  void start();
  return {
    leave: () => leaving.abort(),
    element: layout({
      back: () => app.next(),
      title: 'Move from your old phone',
      body: [
        h('p', 'On your old phone, choose “Scan a code” and scan this. Once you confirm there, this phone takes over.'),
        place,
        h('div.spread', status, again),
      ],
    }),
  };
}

/**
 * On the old phone: explains the transfer, and performs it once confirmed.
 * @param {App} app
 * @param {string} text what was scanned
 * @returns {Screen}
 */
export function handOn(app, text) {
  const request = readTransferRequest(text);
  const entries = app.accounts.all.filter(
    ({ account, state }) =>
      state !== 'gone' && state !== 'inactive' && request && includes(request.audience, account.gateway),
  );
  if (!request || !entries.length)
    return refused(app, 'This phone has no account at the service that the code is for.');
  const accounts = entries.map(({ account: { id, user, relyingParty } }, i) =>
    choice('account', id, i === 0, [safeText(user), h('span.muted', ', ', safeText(relyingParty))]),
  );
  const element = layout({
    lead: avatar(entries[0].account.relyingParty),
    back: () => app.next(),
    title: 'Move to a new phone?',
    body: [
      h('p', 'The phone that shows this code will be able to answer for you.'),
      h(
        'div.notice.warn',
        h('strong', 'Only if you hold that phone'),
        h('p', 'Anyone who has it can answer as you. Nobody who calls or writes to you needs this.'),
      ),
      entries.length === 1
        ? h('p', 'Account: ', safeText(entries[0].account.user), ', ', safeText(entries[0].account.relyingParty))
        : h('fieldset.field', h('legend', 'Which account?'), accounts),
      h(
        'fieldset.field',
        h('legend', 'What happens to this phone?'),
        choice('act', 'replace', true, 'It is replaced and stops answering'),
        choice('act', 'add', false, 'It stays, and both phones answer'),
      ),
    ],
    actions: [button('primary large', 'Continue', () => proceed()), button('large', 'Cancel', () => app.next())],
  });
  /** @param {string} name */
  const chosen = (name) =>
    /** @type {HTMLInputElement | null} */ (element.querySelector(`input[name=${name}]:checked`))?.value;
  const proceed = async () => {
    const entry = entries.find(({ account }) => account.id === chosen('account')) ?? entries[0];
    const act = chosen('act') === 'add' ? 'add' : 'replace';
    element.classList.add('busy');
    try {
      await entry.phone.transfer(request, act);
      if (act === 'replace') await app.accounts.forget(entry);
      app.show(done(app, act));
    } catch (cause) {
      const again = () => app.show(handOn(app, text));
      if (cause instanceof PresenceDenied) again();
      else app.show(refused(app, explain(cause), again));
    }
  };
  return { element };
}

/**
 * @param {string} name
 * @param {string} value
 * @param {boolean} checked
 * @param {import('../../lib/dom.js').Child} label
 */
function choice(name, value, checked, label) {
  return h('label.check', h('input', { type: 'radio', name, value, checked }), h('span', label));
}

/**
 * @param {App} app
 * @param {Act} act
 */
function done(app, act) {
  const isReplaced = act === 'replace';
  return message({
    icon: 'check',
    tone: 'ok',
    title: isReplaced ? 'Moved to the new phone' : 'The other phone is set up',
    body: h(
      'p',
      isReplaced
        ? 'This phone can no longer answer for that account. Its keys are deleted.'
        : 'Both phones can now answer for that account.',
    ),
    actions: button('primary large', 'OK', () => app.next()),
  });
}

/**
 * @param {App} app
 * @param {string} why
 * @param {() => void} [retry]
 */
function refused(app, why, retry) {
  return message({
    icon: 'alert',
    tone: 'bad',
    title: 'The other phone was not set up',
    body: h('p', why),
    actions: [retry && button('primary large', 'Try again', retry), button('large', 'Close', () => app.next())],
  });
}
