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
  return h('p.small', 'This browser verifies over https only, or on this machine. Without it: ', h('code', command));
}

/**
 * @param {Page} page
 * @param {string} id
 */
async function verify(page, id) {
  const [{ verifyEvidence }, evidence, jwks] = await Promise.all([
    import('../../../lib/evidence.js'),
    page.read('trusonafication.v1.TrusonaficationService/GetEvidence', { id }),
    call('GET', '/jwks', { signal: page.signal }),
  ]);
  const keys = evidence.keys.map((/** @type {string} */ jwk) => JSON.parse(jwk));
  const proof = { challenge: evidence.challenge, response: evidence.response, keys };
  return content(await verifyEvidence(proof, jwks), JSON.stringify(proof, null, 2));
}

/**
 * @param {Verified} verified
 * @param {string} json the evidence as `nodkey verify` reads it
 */
function content(verified, json) {
  const verdict = verified.ok
    ? badge({ text: 'Holds', tone: 'ok', icon: 'check' })
    : badge({ text: 'Does not hold', tone: 'bad', icon: 'close' });
  return h(
    'div.stack',
    h('div.row', verdict, h('span.small.muted', `${verified.checks.length} checks made in this browser, with /jwks`)),
    h('ul.checks', verified.checks.map(check)),
    !verified.challenge &&
      h(
        'p.small',
        'A signing key leaves /jwks some time after it was rotated. Verify with the copy that was saved then: ',
        h('code', 'nodkey verify'),
        '.',
      ),
    verified.presence === false && h('p.small.muted', 'Signed by the device key itself: nobody proved to be present.'),
    claims('What was asked', verified.challenge),
    claims('What was answered', verified.response),
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
 * @param {object} [content]
 */
function claims(title, content) {
  return content && h('details', h('summary', title), codeBlock(title, JSON.stringify(content, null, 2)));
}
