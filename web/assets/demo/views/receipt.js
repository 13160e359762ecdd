/** What was accepted, and the proof of it: fetched as it is, and verified here. */

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
  challenge: ['The bank’s Nodkey asked exactly this', 'Nobody can say who asked this'],
  response: ['The answer is signed', 'The answer is not signed by any of the keys'],
  device: ['The phone is the one that it says it is', 'It is not the phone that it says it is'],
  answer: ['The answer is to this very request, to the letter', 'The answer is to another request'],
  receipt: ['The bank’s Nodkey gave a receipt for it', 'The receipt is not by the bank’s Nodkey'],
  conclusion: ['The receipt is for this answer, this phone and this key', 'The receipt is for something else'],
  key_statement: ['Your phone itself named the key that signed', 'Your phone did not name the key that signed'],
};

/** @type {Record<'verified' | 'unexpected' | 'no_receipt' | 'uncertified' | 'not_genuine', string>} */
const VERDICTS = {
  verified: 'The proof holds',
  unexpected: 'This is not the accept that it should be',
  no_receipt: 'Nothing is proven: there is no receipt',
  uncertified: 'Nothing is proven: the phone did not name the key that signed',
  not_genuine: 'The proof does not hold',
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
 * Shows the proof of a request, check by check.
 * @param {Bank} bank
 * @param {string} id
 * @param {string} title
 * @returns {import('../view.js').View}
 */
export function proof(bank, id, title) {
  const place = h('div.card', { 'aria-live': 'polite' });
  const back = h('button.button.primary', { type: 'button', onclick: () => bank.home() }, 'Back to the account');
  void look(place, id);
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
 * @param {HTMLElement} place
 * @param {string} id
 */
async function look(place, id) {
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
    replace(place, verdict(await verifyEvidence(evidence, jwks, { trusonafication: id })), details(evidence));
  } catch (cause) {
    const again = h('button.button', { type: 'button', onclick: () => look(place, id) }, icon('refresh'), 'Try again');
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
      h('dt', 'Proven'),
      h('dd', LEVELS[receipt.level ?? 0]),
      h('dt', 'At'),
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
    h('summary', 'The proof itself'),
    h(
      'p.small.muted',
      'Anybody can check it with the public keys at /jwks, and needs no server for it: nodkey verify.',
    ),
    h('pre.code', { tabindex: 0 }, JSON.stringify(evidence, null, 2)),
  );
}
