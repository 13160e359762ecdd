/** Sign-in: with a code that a phone scans, or by name. */

import { h, replace } from '../../lib/dom.js';
import { clearRefusal, field, showRefusal } from '../../lib/form.js';
import { icon } from '../../lib/icons.js';
import { recordCode, recordPairing, signIn } from '../api.js';
import { PHONE } from '../phone_panel.js';
import { explain, worded } from '../view.js';

/** @typedef {import('../view.js').Bank} Bank */
/** @typedef {import('../../../../sdk/web/index.js').NodkeyCodeEventMap} Events */

/** What the code says in the bank's words. */
const TEXTS = {
  paired: 'Scanned',
  ORIGIN_NOT_ALLOWED: 'Codes are not allowed at this address. Open the page at the address that the server printed.',
};

/**
 * Offers both ways to sign in.
 * @param {Bank} bank
 * @param {import('../../lib/dom.js').Child} [notice] why the person has to sign in again
 * @returns {import('../view.js').View}
 */
export function signInView(bank, notice) {
  return {
    element: h(
      'section.stack.wide',
      h('div.stack.tight', h('h1', { tabindex: -1 }, 'Sign in'), h('p.lead', 'No password. Confirm on your phone.')),
      notice,
      h('div.ways', byCode(bank), byName(bank)),
    ),
  };
}

/**
 * Offers codes, and continues with the one that is scanned.
 * @param {Bank} bank
 */
function byCode(bank) {
  const place = h('div.code-place');
  const relyingParty = bank.site.relying_party_id;
  const code = h('nodkey-code', {
    'relying-party': relyingParty,
    label: 'Sign-in code: show it to the phone in this browser',
    pressable: true,
    link: `${PHONE}#scan=`,
    // The same tab each time: a phone that is open goes on there.
    'link-target': 'nodkey-phone',
    'onnodkey-shown': (/** @type {Events['nodkey-shown']} */ { detail }) => recordCode(relyingParty, detail),
    'onnodkey-press': (/** @type {Events['nodkey-press']} */ { detail }) => void bank.phone.hand(detail.payload),
    'onnodkey-paired': (/** @type {Events['nodkey-paired']} */ { detail: { id } }) => {
      recordPairing(id);
      void proceed(id);
    },
  });
  code.texts = TEXTS;
  const offer = () => replace(place, code, h('p.small.muted', 'Phone in this browser? Click the code.'));
  const proceed = async (/** @type {string} */ id) => {
    try {
      await request(bank, { trucode_id: id });
    } catch (cause) {
      if (!place.isConnected) return;
      const again = h('button.button', { type: 'button', onclick: offer }, icon('refresh'), 'Try again');
      replace(place, h('div.failure', { role: 'alert' }, icon('alert', 24), h('p', explain(cause)), again));
    }
  };
  offer();
  return h('section.card.way', h('h2', 'Scan with your phone'), place);
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
