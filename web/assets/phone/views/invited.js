/** Adds an account by an invitation link. */

import { h } from '../../lib/dom.js';
import { Problem } from '../../lib/problem.js';
import { readTicket } from '../enrolment.js';
import { avatar, button, layout, message } from '../screen.js';
import { safeText } from '../safe_text.js';
import { explain } from '../words.js';
import { added } from './add.js';
import { guardChoice } from './guard.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../screen.js').Screen} Screen */

/**
 * Lets the person decide whether to add the account of a ticket.
 * @param {App} app
 * @param {string} path of the ticket
 * @returns {Screen}
 */
export function invited(app, path) {
  const look = async () => {
    try {
      app.show(invitation(app, await readTicket(path)));
    } catch (cause) {
      app.show(notAdded(app, cause, () => app.show(invited(app, path))));
    }
  };
  void look();
  return {
    element: layout({ kind: 'message', lead: h('span.spinner.large'), title: 'Reading the invitation', body: null }),
  };
}

/**
 * @param {App} app
 * @param {import('../enrolment.js').Ticket} ticket
 * @returns {Screen}
 */
function invitation(app, ticket) {
  const guard = guardChoice();
  const add = async () => {
    accept.ariaBusy = 'true';
    try {
      app.show(added(app, await app.accounts.add(ticket, await guard.passkey(ticket.user))));
    } catch (cause) {
      app.show(notAdded(app, cause, () => app.show(invitation(app, ticket))));
    }
  };
  const accept = button('primary large', 'Add this account', add);
  // The console's name is a noun; names of other relying parties are proper names.
  const article = ticket.path.startsWith('/console/') ? 'the ' : '';
  const keys = 'It creates keys that never leave this browser. They sign your answers to requests.';
  return {
    isSetup: true,
    element: layout({
      kind: 'message',
      lead: avatar(ticket.relyingParty),
      title: [
        'Use this browser as ',
        safeText(ticket.user),
        `’s phone for ${article}`,
        safeText(ticket.relyingParty),
        '?',
      ],
      body: [h('p', keys), guard.element],
      actions: [accept, button('large', 'Cancel', () => app.next())],
    }),
  };
}

/**
 * @param {App} app
 * @param {unknown} cause
 * @param {() => void} retry
 */
function notAdded(app, cause, retry) {
  const isOver = cause instanceof Problem && [404, 410].includes(cause.status);
  const isFinal = isOver || cause instanceof TypeError;
  return message({
    icon: 'alert',
    tone: 'bad',
    title: 'Not added',
    body: h('p', why(cause, isOver)),
    actions: [!isFinal && button('primary large', 'Try again', retry), button('large', 'Close', () => app.next())],
  });
}

/**
 * @param {unknown} cause
 * @param {boolean} isOver
 */
function why(cause, isOver) {
  if (isOver) return 'This invitation was used, or has run out. Ask for a new one.';
  if (cause instanceof TypeError) return 'This link is not an invitation.';
  if (cause instanceof DOMException) return 'Your device declined to check your fingerprint, face or PIN.';
  return explain(cause);
}
