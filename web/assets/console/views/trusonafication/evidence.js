/** The proof, verified in this browser, check by check. */
import { copyButton, h, replace } from '../../../lib/dom.js';
import { icon } from '../../../lib/icons.js';
import { call } from '../../../lib/problem.js';
import { badge } from '../../names.js';
import { codeBlock } from '../../ui/elements.js';
import { eventually } from '../../ui/states.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {import('../../../lib/evidence.js').Verified} Verified */

/**
 * Shows the proof of an answered question.
 * @param {Page} page
 * @param {import('../../types.js').Trusonafication} asked
 */
export function evidenceCard(page, { id }) {
  const place = h('div');
  if (isSecureContext) void eventually(place, page.signal, () => verify(page, id), 6);
  else replace(place, insecure(id));
  return h('section.card', h('header', h('h2', 'Evidence')), place);
}

/** @param {string} id */
function insecure(id) {
  const command = `nodkey admin trusonafications evidence ${id}`;
  return h(
    'p.small',
    'This browser can verify evidence only over https or on localhost. Otherwise use: ',
    h('code', command),
  );
}

/**
 * @param {Page} page
 * @param {string} id
 */
async function verify(page, id) {
  const [{ verifyEvidence }, { challengeText }, { indented }, evidence, jwks] = await Promise.all([
    import('../../../lib/evidence.js'),
    import('../../../lib/challenge.js'),
    import('../../../lib/json_text.js'),
    page.read('trusonafication.v1.TrusonaficationService/GetEvidence', { id }),
    call('GET', '/jwks/archive', { signal: page.signal, cache: 'reload' }),
  ]);
  const proof = {
    challenge: evidence.challenge,
    response: evidence.response,
    receipt: evidence.receipt || undefined,
    keys: evidence.keys.map((/** @type {string} */ jwk) => JSON.parse(jwk)),
    key_statement: evidence.keyStatement || undefined,
    key_signatures: evidence.keySignatures,
  };
  // The page shows how it ended, whatever that is: only that it is this one is expected.
  const verified = await verifyEvidence(proof, jwks, { outcome: 'any', trusonafication: id });
  const asked = verified.verdict !== 'not_genuine' && indented(challengeText(proof.challenge));
  return content(verified, asked, JSON.stringify(proof, null, 2));
}

/** @type {Record<Verified['verdict'], Parameters<typeof badge>[0]>} */
const VERDICTS = {
  verified: { text: 'Genuine', tone: 'ok', icon: 'check' },
  unexpected: { text: 'Of another trusonafication', tone: 'bad', icon: 'close' },
  not_proven: { text: 'Not proven', tone: 'warn', icon: 'alert' },
  not_genuine: { text: 'Not genuine', tone: 'bad', icon: 'close' },
};

/** @type {Record<import('../../../lib/evidence.js').Certification['by'], string>} */
const CERTIFIED_BY = {
  device_key: 'Signed by the device key: the user’s presence is not proven.',
  key_statement: 'Signed by a presence key that the device key certified.',
  deployment:
    'Signed by a presence key without a key statement: only this deployment states that it belongs to the device.',
};

const NO_RECEIPT =
  'No receipt: it was answered by a version without receipts. Anyone with the challenge could have created this answer.';

/**
 * @param {Verified} verified
 * @param {string | false} asked the claims of the challenge, with numbers as they were written
 * @param {string} json the evidence as `nodkey verify` reads it
 */
function content(verified, asked, json) {
  const { verdict, checks } = verified;
  return h(
    'div.stack',
    h(
      'div.row',
      badge(VERDICTS[verdict]),
      h('span.small.muted', `${checks.length} checks in this browser with /jwks/archive`),
    ),
    h('ul.checks', checks.map(check)),
    verdict === 'not_proven' && verified.reason === 'no_receipt' && h('p.small', NO_RECEIPT),
    'receipt' in verified && h('p.small.muted', CERTIFIED_BY[verified.certification.by]),
    'receipt' in verified && claims('Receipt', JSON.stringify(verified.receipt, null, 2)),
    asked && claims('Challenge', asked),
    verdict !== 'not_genuine' && claims('Response', JSON.stringify(verified.response, null, 2)),
    h(
      'details',
      h('summary', 'Evidence as a file'),
      h(
        'div.stack.tight',
        h(
          'div.row',
          h('span.small.muted', 'For ', h('code', 'nodkey verify'), ', which needs no server'),
          copyButton(json, 'the evidence'),
        ),
        codeBlock('Evidence', json),
      ),
    ),
  );
}

/** @param {import('../../../lib/evidence.js').Check} made */
function check({ name, ok, detail }) {
  return h(
    'li',
    { class: ok ? 'ok' : 'bad' },
    icon(ok ? 'check' : 'close'),
    h('span', name, h('span.visually-hidden', ok ? ': holds' : ': does not hold')),
    h('code.small.muted', detail),
  );
}

/**
 * @param {string} title
 * @param {string} json
 */
function claims(title, json) {
  return h('details', h('summary', title), codeBlock(title, json));
}
