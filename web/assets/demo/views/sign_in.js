/** Sign-in: with a code that a phone scans, or by name. */

import { countdown } from '../../lib/countdown.js';
import { h, replace } from '../../lib/dom.js';
import { clearRefusal, field, showRefusal } from '../../lib/form.js';
import { icon } from '../../lib/icons.js';
import { qrSvg } from '../../lib/qr.js';
import { signIn } from '../api.js';
import { offerCodes } from '../codes.js';
import { PHONE } from '../phone_panel.js';
import { explain, worded } from '../view.js';

/** @typedef {import('../view.js').Bank} Bank */

/**
 * Offers both ways to sign in.
 * @param {Bank} bank
 * @param {import('../../lib/dom.js').Child} [notice] why the person has to sign in again
 * @returns {import('../view.js').View}
 */
export function signInView(bank, notice) {
  const leaving = new AbortController();
  return {
    leave: () => leaving.abort(),
    element: h(
      'section.stack.wide',
      h('div.stack.tight', h('h1', { tabindex: -1 }, 'Sign in'), h('p.lead', 'No password. Confirm on your phone.')),
      notice,
      h('div.ways', byCode(bank, leaving.signal), byName(bank)),
    ),
  };
}

/**
 * @param {Bank} bank
 * @param {AbortSignal} signal
 */
function byCode(bank, signal) {
  const place = h('div.code-place');
  void offer(bank, place, signal);
  return h('section.card.way', h('h2', 'Scan with your phone'), place);
}

/**
 * Shows one code after the other, and continues with the one that is scanned.
 * @param {Bank} bank
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
async function offer(bank, place, signal) {
  let payload = '';
  let ring = { stop: () => {} };
  const hand = () => void (payload && bank.phone.hand(payload));
  const hint = { type: 'button', title: 'Show this code to the phone in this browser', onclick: hand };
  const code = h('button.code-box', hint, h('span.skeleton'));
  const number = h('p');
  const renewal = h('div.row');
  // The same tab each time: a phone that is open goes on there.
  const open = h(
    'a.button.primary.large.block.only-small',
    { target: 'nodkey-phone' },
    icon('phone'),
    'Open on this phone',
  );
  replace(place, open, code, number, renewal);
  try {
    const id = await offerCodes(bank.site.relying_party_id, signal, (next, freshUntil) => {
      payload = next.payload;
      open.setAttribute('href', `${PHONE}#scan=${encodeURIComponent(payload)}`);
      ring.stop();
      const label = 'Time until the next code';
      const shown = countdown({ start: Date.now(), end: freshUntil, label, onOver: () => code.classList.add('old') });
      ring = shown;
      code.classList.remove('old');
      replace(code, qrSvg(payload, 'Sign-in code: show it to the phone in this browser'));
      replace(number, next.matchNumber && ['Your phone asks for ', h('strong.digits', next.matchNumber)]);
      replace(renewal, shown.element, h('p.small.muted', 'Phone in this browser? Click the code.'));
    });
    replace(place, h('div.code-box.taken', icon('check', 40), h('p', 'Scanned')));
    await request(bank, { trucode_id: id });
  } catch (cause) {
    if (signal.aborted) return;
    const again = h(
      'button.button',
      { type: 'button', onclick: () => offer(bank, place, signal) },
      icon('refresh'),
      'Try again',
    );
    replace(place, h('div.failure', { role: 'alert' }, icon('alert', 24), h('p', explain(cause)), again));
  } finally {
    ring.stop();
  }
}

/**
 * Sends the request to a phone, and shows that it is pending.
 * @param {Bank} bank
 * @param {Parameters<typeof signIn>[0]} who
 */
async function request(bank, who) {
  const { waiting } = await import('./waiting.js');
  bank.show(waiting(bank, await signIn(who), 'user' in who ? who.user : undefined));
}

/** @param {Bank} bank */
function byName(bank) {
  const refusal = h('div');
  const name = h('input', { name: 'user', autocomplete: 'username', autocapitalize: 'none', required: true });
  const submit = h('button.button.primary.large.block', { type: 'submit' }, 'Continue');
  const onsubmit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (submit.ariaBusy) return;
    submit.ariaBusy = 'true';
    clearRefusal(form, refusal);
    try {
      await request(bank, { user: name.value });
    } catch (cause) {
      submit.ariaBusy = null;
      showRefusal(form, refusal, worded(cause));
    }
  };
  const strangers = async () => {
    if (!name.reportValidity()) return;
    bank.show((await import('./attack.js')).attackView(bank, name.value));
  };
  const stranger = h(
    'button.button.quiet',
    { type: 'button', onclick: strangers },
    'Simulate someone else signing in as you',
  );
  const form = h('form.stack', { onsubmit, novalidate: true }, refusal, field('Your name', name), submit, stranger);
  return h(
    'section.card.way',
    h('h2', 'Or by name'),
    h('p.muted', 'Confirm on your phone, wherever it is.'),
    form,
    newcomer(bank),
  );
}

/** @param {Bank} bank */
function newcomer(bank) {
  const open = { type: 'button', onclick: () => bank.phone.open() };
  return h(
    'div.newcomer',
    h('p.small.only-wide', 'New here? Set up the phone beside this page first, then click the code.'),
    h(
      'div.stack.only-narrow',
      h('p.small', 'New here? Set up a phone first, then come back.'),
      h('button.button', open, icon('phone'), 'Set up a phone'),
    ),
  );
}
