/** Adds an account: at the demo by joining its bank, elsewhere by opening an invitation link. */
import { h } from '../../lib/dom.js';
import { clearRefusal, field, showRefusal } from '../../lib/form.js';
import { icon, mark } from '../../lib/icons.js';
import { Problem, call } from '../../lib/problem.js';
import { readDemoApp, readTicket } from '../enrolment.js';
import { button, layout, message } from '../screen.js';
import { safeText } from '../safe_text.js';
import { guardChoice } from './guard.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../screen.js').Screen} Screen */

/** The default name at the demo. */
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
      body: h('p', 'To add one, open an invitation link in this browser.'),
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
  const move = button('large block', 'I already have a phone there', async () => {
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
  const codeFirst = h(
    'p.notice.info',
    { hidden: true, role: 'status' },
    icon('qr'),
    h('span', 'Set up this phone first. It then continues with the code.'),
  );
  return {
    isSetup: true,
    codeWaits: () => void (codeFirst.hidden = false),
    element: layout({
      kind: 'join',
      back,
      lead: h('p.logo', mark(28), 'Nodkey'),
      title: 'Set up this phone',
      body: [
        h('p.lead', 'It signs you in without a password. Try it with Acme Bank, a fictional bank.'),
        codeFirst,
        form,
      ],
    }),
  };
}

/**
 * @param {unknown} cause
 * @param {HTMLInputElement} name gets another suggestion if it is taken
 */
function asRefusal(cause, name) {
  if (cause instanceof DOMException) {
    return new Problem(0, 'DENIED', 'Your device declined. Try again, or continue without its fingerprint or PIN.');
  }
  if (!(cause instanceof Problem) || cause.error !== 'USER_EXISTS') return cause;
  const taken = name.value.trim();
  name.value = `${taken.replace(/\d+$/, '')}${10 + Math.floor(Math.random() * 90)}`;
  const text = `The name ${taken} is taken. Use this one, or choose another.`;
  return new Problem(cause.status, cause.error, text, { fieldErrors: { user: [text] } });
}

/**
 * Confirms that this phone is set up.
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
      body: h('p', 'Requests to ', safeText(user), ' from ', safeText(relyingParty), ' now arrive here.'),
      actions: button('primary large', 'OK', () => app.next()),
    }),
  };
}
