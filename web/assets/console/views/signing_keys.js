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
  if (current) return badge({ text: 'Signs now', tone: 'ok', icon: 'check' });
  return Date.parse(signsAt) > Date.now()
    ? badge({ text: 'Signs soon', tone: 'info' })
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
      title: 'There is no key yet',
      text: 'Each service makes its first one when it starts.',
    }),
  });
  const actions = page.mayOwn && button('Rotate', () => rotate(page, list.reload), { icon: 'rotate' });
  const lead = [
    'The registry signs device identifiers, trusonafication what phones show and what became of it. Evidence is verified by ',
    h('a', { href: '/jwks/archive', target: '_blank' }, '/jwks/archive'),
    ': keep a copy each time a key changes.',
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
          'A new key is published now, and signs once nobody can have a key set without it any more: five minutes, unless it is set otherwise. ',
          'The old one stays in /jwks until what it signed is dead.',
        ),
        h(
          'div.notice.warn',
          icon('alert'),
          h('strong', 'Before you go on'),
          h('p', 'Phones that ship a pinned key set need the new one before it signs.'),
        ),
        field('Service', owners),
        field('Algorithm of the new key', algorithms),
        checkbox('atOnce', 'The old key is compromised', {
          hint: 'The new one signs at once. The old ones are revoked: what they signed proves nothing any more, and prompts that wait have to be made again.',
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
    'The new key is published',
    reload,
  );
}
