/** What was accepted, and its evidence, verified in this browser. */

import { h, replace } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { plain } from '../../lib/plain.js';
import { readProof } from '../api.js';
import { LEVELS, explain } from '../view.js';

/** @typedef {import('../../lib/evidence.js').Verified} Verified */
/** @typedef {import('../../lib/evidence.js').CheckId} CheckId */
/** @typedef {import('../view.js').Bank} Bank */

/** @type {Record<CheckId, [holds: string, fails: string]>} */
const WORDS = {
  challenge: ['The bank’s Nodkey signed this request', 'The request is not signed by the bank’s Nodkey'],
  response: ['The answer is signed', 'The answer is not signed by any of the keys'],
  device: ['The phone’s identifier matches its key', 'The phone’s identifier does not match its key'],
  answer: ['The answer is to exactly this request', 'The answer is to another request'],
  receipt: ['The bank’s Nodkey signed a receipt', 'The receipt is not signed by the bank’s Nodkey'],
  conclusion: ['The receipt is for this answer, this phone and this key', 'The receipt is for something else'],
  key_statement: ['The phone certified the key that signed', 'The phone did not certify the key that signed'],
};

/** @type {Record<'verified' | 'unexpected' | 'no_receipt' | 'uncertified' | 'not_genuine', string>} */
const VERDICTS = {
  verified: 'The proof is valid',
  unexpected: 'The proof is valid, but not for the expected answer',
  no_receipt: 'Not proven: there is no receipt',
  uncertified: 'Not proven: the phone did not certify the key that signed',
  not_genuine: 'The proof is not valid',
};

/**
 * A finished transfer.
 * @param {Bank} bank
 * @param {import('../api.js').Request} request
 */
export function receipt(bank, request) {
  return proof(bank, request.id, 'Money sent');
}

/**
 * Shows the verification of a request's evidence, check by check.
 * @param {Bank} bank
 * @param {string} id
 * @param {string} title
 * @returns {import('../view.js').View}
 */
export function proof(bank, id, title) {
  const place = h('div.card', { 'aria-live': 'polite' });
  const back = h('button.button.primary', { type: 'button', onclick: () => bank.home() }, 'Back to the account');
  void load(bank, place, id);
  return {
    element: h(
      'section.narrow.stack.wide',
      h('div.done', h('div.sign.ok', icon('check', 24)), h('h1', { tabindex: -1 }, title)),
      place,
      back,
    ),
  };
}

/**
 * @param {Bank} bank
 * @param {HTMLElement} place
 * @param {string} id
 */
async function load(bank, place, id) {
  replace(
    place,
    h(
      'div.stack',
      Array.from({ length: 6 }, () => h('span.skeleton')),
    ),
  );
  try {
    const [{ verifyEvidence }, { evidence, jwks }] = await Promise.all([
      import('../../lib/evidence.js'),
      readProof(id),
    ]);
    const verified = await verifyEvidence(evidence, jwks, { trusonafication: id });
    replace(place, verdict(verified), details(evidence));
    if (bank.transfers.length && verified.verdict === 'verified') bank.steps.reach(4);
  } catch (cause) {
    const again = h(
      'button.button',
      { type: 'button', onclick: () => load(bank, place, id) },
      icon('refresh'),
      'Try again',
    );
    replace(place, h('div.failure', icon('alert', 24), h('p', explain(cause)), again));
  }
}

/** @param {Verified} verified */
function verdict(verified) {
  return h(
    'div.stack',
    'receipt' in verified && proven(verified),
    h('h2', VERDICTS[verified.verdict === 'not_proven' ? verified.reason : verified.verdict]),
    h('ul.checks', verified.checks.map(check)),
  );
}

/** @param {import('../../lib/evidence.js').Proven} proven */
function proven({ challenge, receipt }) {
  return h(
    'div.stack',
    h('div', h('p.proven', h('bdi', plain(challenge.act))), h('p.muted', h('bdi', plain(challenge.res)))),
    h(
      'dl.facts',
      h('dt', 'Answer'),
      h('dd', receipt.dec === 'accept' ? 'Accepted' : 'Rejected'),
      h('dt', 'Verified'),
      h('dd', LEVELS[receipt.level ?? 0]),
      h('dt', 'Time'),
      h('dd', new Date(receipt.at / 1000).toLocaleString()),
    ),
  );
}

/** @param {import('../../lib/evidence.js').Check} made */
function check({ id, ok, detail }) {
  return h(
    'li',
    { class: ok ? 'ok' : 'bad' },
    icon(ok ? 'check' : 'close'),
    h('span', WORDS[id][ok ? 0 : 1]),
    h('code.small.muted', detail),
  );
}

/** @param {import('../api.js').Evidence} evidence */
function details(evidence) {
  return h(
    'details',
    h('summary', 'The evidence itself'),
    h('p.small.muted', 'Anyone can verify it offline with the public keys at /jwks, for example with nodkey verify.'),
    h('pre.code', { tabindex: 0 }, JSON.stringify(evidence, null, 2)),
  );
}
