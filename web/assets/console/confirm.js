/** What an operator confirms on their phone before it is done: a stolen session is not enough for it. */
import { h, replace } from '../lib/dom.js';
import { Problem } from '../lib/problem.js';
import { foreign } from './ui/elements.js';

/** @typedef {{ id: string, state: string, action: string, resource: string }} Confirmation */
/** @typedef {{ method: string, request: string } | { method: string, streamSha256: string }} ConfirmedCall Its message as JSON, or the digest of a stream. */
/** @typedef {(name: string, message: object) => Promise<any>} Call Calls a method of the service of confirmations. */

/** How long one call waits for the phone, in seconds; the next one follows. */
const WAIT = 10;

/** @type {Record<string, { error: string, text: string }>} */
const REFUSALS = {
  CONFIRMATION_STATE_REJECTED: { error: 'CONFIRMATION_REJECTED', text: 'Rejected on your phone. Nothing was changed.' },
  CONFIRMATION_STATE_EXPIRED: {
    error: 'CONFIRMATION_EXPIRED',
    text: 'The confirmation expired. Nothing was changed.',
  },
};
const LEFT = { error: 'CONFIRMATION_LEFT', text: 'Not confirmed. Nothing was changed.' };

/**
 * Has the operator confirm a call on their phone.
 * @param {Call} call
 * @param {ConfirmedCall} asked
 * @returns {Promise<string>} the confirmation to call with
 */
export async function confirm(call, asked) {
  const { confirmation, matchNumber } = await call('CreateConfirmation', asked);
  const left = new AbortController();
  const dialog = show(confirmation, matchNumber, () => left.abort());
  try {
    return await accepted(call, confirmation, left.signal);
  } finally {
    dialog.close();
  }
}

/**
 * Waits until the phone has accepted; whatever else becomes of it is thrown.
 * @param {Call} call
 * @param {Confirmation} confirmation
 * @param {AbortSignal} left
 * @returns {Promise<string>}
 */
async function accepted(call, { id, state }, left) {
  const gone = new Promise((resolve) => left.addEventListener('abort', () => resolve(null), { once: true }));
  while (state === 'CONFIRMATION_STATE_WAITING') {
    const answer = await Promise.race([call('GetConfirmation', { id, waitSeconds: WAIT }), gone]);
    if (!answer) throw new Problem(424, LEFT.error, LEFT.text);
    ({ state } = answer);
  }
  if (state === 'CONFIRMATION_STATE_ACCEPTED') return id;
  const { error, text } = REFUSALS[state] ?? REFUSALS.CONFIRMATION_STATE_EXPIRED;
  throw new Problem(424, error, text);
}

/**
 * Says what the phone asks, and the number that it wants.
 * @param {Confirmation} confirmation
 * @param {string} number
 * @param {() => void} onLeave
 */
function show({ action, resource }, number, onLeave) {
  const title = 'Confirm on your phone';
  const leave = h('button.button', { type: 'button', onclick: onLeave }, 'Cancel');
  const dialog = h(
    'dialog',
    { 'aria-label': title },
    h('header', { role: 'none' }, h('h2', title)),
    h(
      'div.body',
      h('p', 'Your phone shows this request:'),
      h('p', h('strong', foreign(action)), h('br'), foreign(resource)),
      h('p', 'To accept it, enter this number on your phone:'),
      h('p.match-number', { role: 'status' }, number),
    ),
    h('footer', { role: 'none' }, leave),
  );
  dialog.addEventListener('cancel', onLeave);
  dialog.addEventListener('close', () => replace(dialog).remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
