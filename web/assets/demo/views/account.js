/** The account of the signed-in user. */

import { h } from '../../lib/dom.js';
import { clearRefusal, field, showRefusal } from '../../lib/form.js';
import { exactly, shortId } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { transfer } from '../api.js';
import { LEVELS, euros, worded } from '../view.js';
import { waiting } from './waiting.js';
import { proof } from './receipt.js';

/** @typedef {import('../api.js').Session} Session */
/** @typedef {import('../view.js').Bank} Bank */

/**
 * Shows the balance, the latest transfers and the transfer form.
 * @param {Bank} bank
 * @param {Session} session
 * @returns {import('../view.js').View}
 */
export function account(bank, session) {
  return {
    element: h(
      'section.stack.wide',
      h('h1', { tabindex: -1 }, greeting(), ', ', h('bdi', session.user)),
      h(
        'div.account',
        h('div.stack.wide', balance(session), transfers(bank)),
        h('div.stack.wide', transferForm(bank), signedInBy(bank, session)),
      ),
    ),
  };
}

function greeting() {
  const hour = new Date().getHours();
  if (hour < 5 || hour >= 18) return 'Good evening';
  return hour < 12 ? 'Good morning' : 'Good afternoon';
}

/** @param {Session} session */
function balance({ balance: amount }) {
  return h('section.balance', h('h2', 'Current account'), h('p.amount.num', euros(amount)), h('p', 'Available now'));
}

/** @param {Bank} bank */
function transfers({ transfers: made }) {
  const rows = made.map(({ payee, amount }) =>
    h(
      'li.list-item',
      h('span.avatar', { 'aria-hidden': 'true' }, [...payee][0]),
      h('bdi.grow.truncate', payee),
      h('span.num', '−', euros(amount)),
    ),
  );
  const nothing = h('p.small.muted.none', 'What you send appears here.');
  return h('section.card.flush', h('header', h('h2', 'Latest transfers')), rows.length ? h('ul.list', rows) : nothing);
}

/** @param {Bank} bank */
function transferForm(bank) {
  const refusal = h('div');
  const payee = h('input', { name: 'payee', value: 'Grace Hopper', autocomplete: 'off', required: true });
  const amount = h('input', {
    name: 'amount',
    value: '90.00',
    inputmode: 'decimal',
    autocomplete: 'off',
    required: true,
  });
  const submit = h('button.button.primary.large.block', { type: 'submit' }, 'Send money');
  const onsubmit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (submit.ariaBusy) return;
    submit.ariaBusy = 'true';
    clearRefusal(form, refusal);
    const wanted = { payee: payee.value.trim(), amount: amount.value.trim().replace(',', '.') };
    try {
      bank.show(waiting(bank, await transfer(wanted), wanted));
    } catch (cause) {
      submit.ariaBusy = null;
      if (isSignedOut(cause))
        return bank.home(h('p.notice.warn', icon('info'), h('span', 'You were signed out. Sign in again.')));
      showRefusal(form, refusal, worded(cause));
    }
  };
  const form = h(
    'form.stack',
    { onsubmit, novalidate: true },
    refusal,
    field('To', payee),
    field('Amount in euros', amount),
    submit,
  );
  return h(
    'section.card',
    h('header', h('h2', 'Send money')),
    form,
    h('p.small.muted.hint', 'Your phone shows the payee and the amount for you to confirm.'),
  );
}

/** @param {unknown} cause */
function isSignedOut(cause) {
  return cause instanceof Error && 'error' in cause && cause.error === 'NOT_SIGNED_IN';
}

/**
 * @param {Bank} bank
 * @param {Session} session
 */
function signedInBy(bank, { signed_in_at: at, accepted_level: level, device_identifier: device, request_id: id }) {
  const show = () => bank.show(proof(bank, id, 'How you signed in'));
  return h(
    'section.card.stack',
    h('h2', 'How you signed in'),
    h(
      'dl.facts',
      h('dt', 'When'),
      h('dd', exactly(new Date(at))),
      h('dt', 'Verified'),
      h('dd', LEVELS[level]),
      h('dt', 'Phone'),
      h('dd', h('code', { title: device }, shortId(device))),
    ),
    h('button.button', { type: 'button', onclick: show }, icon('shield'), 'See the proof'),
  );
}
