/** Signing keys: those of the registry sign device identifiers, those of trusonafication everything else. */
import { h, replace } from '../../lib/dom.js';
import { checkbox, field, select } from '../../lib/form.js';
import { time } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { badge } from '../names.js';
import { newRequestId } from '../request_id.js';
import { button, heading, identifier, none } from '../ui/elements.js';
import { change } from '../ui/dialogs.js';
import { listing } from '../ui/listing.js';
import { empty } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/**
 * @typedef {object} SigningKey
 * @property {string} id
 * @property {string} algorithm
 * @property {string} owner
 * @property {boolean} [current]
 * @property {string} createdAt
 * @property {string} signsAt
 * @property {string} [retiresAt]
 * @property {string} [revokedAt]
 */

/** @type {import('../ui/table.js').Column<SigningKey>[]} */
const COLUMNS = [
  { label: 'Key', cell: ({ id }) => identifier(id, 'key id') },
  { label: 'Service', cell: ({ owner }) => owner },
  { label: 'Algorithm', cell: ({ algorithm }) => algorithm },
  { label: 'State', cell: state },
  { label: 'Signs from', cell: ({ signsAt }) => time(signsAt) },
  { label: 'Leaves /jwks', cell: ({ retiresAt }) => (retiresAt ? time(retiresAt) : none()) },
];

/** @param {SigningKey} key */
function state({ current, signsAt, revokedAt }) {
  if (revokedAt) return badge({ text: 'Revoked', tone: 'bad', icon: 'close' });
  if (current) return badge({ text: 'Current', tone: 'ok', icon: 'check' });
  return Date.parse(signsAt) > Date.now()
    ? badge({ text: 'Published', tone: 'info' })
    : badge({ text: 'Verifies only' });
}

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const list = listing(page, {
    caption: 'Signing keys',
    columns: COLUMNS,
    method: 'registry.v1.SigningKeyService/ListSigningKeys',
    rows: 'signingKeys',
    empty: empty({
      icon: 'key',
      title: 'No signing keys yet',
      text: 'Each service creates its first key when it starts.',
    }),
  });
  const actions = page.mayOwn && button('Rotate', () => rotate(page, list.reload), { icon: 'rotate' });
  const lead = [
    'The registry signs device identifiers. The trusonafication service signs challenges and receipts. Evidence is verified with ',
    h('a', { href: '/jwks/archive', target: '_blank' }, '/jwks/archive'),
    ': keep a copy whenever a key changes.',
  ];
  replace(page.main, heading('Signing keys', { lead, actions }), list.element);
  void list.reload();
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 */
function rotate(page, reload) {
  const requestId = newRequestId();
  const owners = select('owner', [
    ['trusonafication', 'trusonafication'],
    ['registry', 'registry'],
  ]);
  const algorithms = select('algorithm', [
    ['EdDSA', 'EdDSA (Ed25519)'],
    ['ES256', 'ES256 (P-256)'],
  ]);
  return change(
    {
      title: 'Rotate a signing key',
      body: [
        h(
          'p',
          'The new key is published now and signs after caches of the key set have expired: five minutes, unless configured otherwise. ',
          'The old key stays in /jwks until everything it signed has expired.',
        ),
        h(
          'div.notice.warn',
          icon('alert'),
          h('strong', 'Before you continue'),
          h('p', 'Apps with a pinned key set need the new key before it signs.'),
        ),
        field('Service', owners),
        field('Algorithm of the new key', algorithms),
        checkbox('atOnce', 'The old key is compromised', {
          hint: 'The new key signs immediately. The old keys are revoked: their signatures are no longer valid, and requests in progress have to be created again.',
        }),
      ],
      submit: 'Rotate',
      act: (form) =>
        page.act(`${form.get('owner')}.v1.SigningKeyService/RotateSigningKey`, {
          requestId,
          algorithm: form.get('algorithm'),
          atOnce: form.has('atOnce'),
        }),
    },
    'New key published',
    reload,
  );
}
