/** Adding an account: at the demo by joining its bank, elsewhere by a link that is opened. */
import { h } from '../../lib/dom.js';
import { clearRefusal, field, showRefusal } from '../../lib/form.js';
import { mark } from '../../lib/icons.js';
import { Problem, call } from '../../lib/problem.js';
import { readDemoApp, readTicket } from '../enrolment.js';
import { button, layout, message } from '../screen.js';
import { told } from '../told.js';
import { guardChoice } from './guard.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../screen.js').Screen} Screen */

/** What a newcomer is called who does not care. */
const SUGGESTION = 'ada';

/**
 * Offers a way to add an account.
 * @param {App} app
 * @returns {Screen}
 */
export function addAccount(app) {
  const back = app.accounts.all.length ? () => app.next() : undefined;
  if (app.isDemo) return join(app, back);
  return {
    isIdle: !back,
    element: layout({
      kind: 'message',
      back,
      lead: h('p.logo', mark(28), 'Nodkey'),
      title: back ? 'Add an account' : 'No accounts yet',
      body: h('p', 'Open the link of an invitation in this browser. This phone does the rest.'),
    }),
  };
}

/**
 * @param {App} app
 * @param {() => void} [back]
 * @returns {Screen}
 */
function join(app, back) {
  const refusal = h('div');
  const name = h('input', {
    name: 'user',
    value: back ? '' : SUGGESTION,
    autocomplete: 'username',
    autocapitalize: 'none',
    required: true,
  });
  const guard = guardChoice();
  const submit = h('button.button.primary.large.block', { type: 'submit' }, 'Join Acme Bank');
  const onsubmit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (submit.ariaBusy) return;
    submit.ariaBusy = 'true';
    clearRefusal(form, refusal);
    try {
      const passkey = await guard.passkey(name.value);
      const { path } = await call('POST', '/demo/api/enrolments', { body: { user: name.value } });
      app.show(added(app, await app.accounts.add(await readTicket(path), passkey)));
    } catch (cause) {
      submit.ariaBusy = null;
      showRefusal(form, refusal, asRefusal(cause, name));
    }
  };
  const move = button('large block', 'I have a phone there already', async () => {
    if (move.ariaBusy) return;
    move.ariaBusy = 'true';
    clearRefusal(form, refusal);
    try {
      const passkey = await guard.passkey(name.value);
      const entry = await app.accounts.prepare(await readDemoApp(), name.value.trim() || SUGGESTION, passkey);
      await app.open(({ transferCode }) => transferCode(app, entry));
    } catch (cause) {
      move.ariaBusy = null;
      showRefusal(form, refusal, asRefusal(cause, name));
    }
  });
  const form = h(
    'form.stack',
    { onsubmit, novalidate: true },
    refusal,
    field('Your name there', name),
    guard.element,
    submit,
    move,
  );
  return {
    element: layout({
      kind: 'join',
      back,
      lead: h('p.logo', mark(28), 'Nodkey'),
      title: 'Make this your phone',
      body: [
        h('p.lead', 'It signs you in without a password. Try it with Acme Bank, a bank that does not exist.'),
        form,
      ],
    }),
  };
}

/**
 * @param {unknown} cause
 * @param {HTMLInputElement} name gets another suggestion when it is taken
 */
function asRefusal(cause, name) {
  if (cause instanceof DOMException) {
    return new Problem(0, 'DENIED', 'Your device did not agree. Try again, or go on without its fingerprint or PIN.');
  }
  if (!(cause instanceof Problem) || cause.error !== 'USER_EXISTS') return cause;
  const taken = name.value.trim();
  name.value = `${taken.replace(/\d+$/, '')}${10 + Math.floor(Math.random() * 90)}`;
  const text = `Somebody is called ${taken} already. Take this name, or choose another one.`;
  return new Problem(cause.status, cause.error, text, { fieldErrors: { user: [text] } });
}

/**
 * Says that this phone is set up.
 * @param {import('../screen.js').App} app
 * @param {import('../store.js').Account} account
 * @returns {import('../screen.js').Screen}
 */
export function added(app, { user, relyingParty }) {
  return {
    isIdle: true,
    ...message({
      icon: 'check',
      tone: 'ok',
      title: 'This phone is set up',
      body: h('p', 'It answers for ', told(user), ' at ', told(relyingParty), ' from now on.'),
      actions: button('primary large', 'OK', () => app.next()),
    }),
  };
}
