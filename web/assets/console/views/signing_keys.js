/** Signing keys: they sign every challenge of the deployment. */
import { h, replace } from '../../lib/dom.js';
import { field, select } from '../../lib/form.js';
import { time } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { badge } from '../names.js';
import { newRequestId } from '../request_id.js';
import { button, heading, identifier, none } from '../ui/elements.js';
import { change } from '../ui/dialogs.js';
import { listing } from '../ui/listing.js';
import { empty } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {{ id: string, algorithm: string, current?: boolean, createdAt: string, retiresAt?: string }} SigningKey */

/** @type {import('../ui/table.js').Column<SigningKey>[]} */
const COLUMNS = [
  { label: 'Key', cell: ({ id }) => identifier(id, 'key id') },
  { label: 'Algorithm', cell: ({ algorithm }) => algorithm },
  {
    label: 'State',
    cell: ({ current }) =>
      current ? badge({ text: 'Signs now', tone: 'ok', icon: 'check' }) : badge({ text: 'Verifies only' }),
  },
  { label: 'Created', cell: ({ createdAt }) => time(createdAt) },
  { label: 'Leaves /jwks', cell: ({ retiresAt }) => (retiresAt ? time(retiresAt) : none()) },
];

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
      text: 'The registry makes the first one when it starts.',
    }),
  });
  const actions = page.mayOwn && button('Rotate', () => rotate(page, list.reload), { icon: 'rotate' });
  const lead = [
    'They sign what phones show. Evidence is verified by ',
    h('a', { href: '/jwks', target: '_blank' }, '/jwks'),
    ': keep a copy each time the key changes.',
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
  const algorithms = select('algorithm', [
    ['EdDSA', 'EdDSA (Ed25519)'],
    ['ES256', 'ES256 (P-256)'],
  ]);
  return change(
    {
      title: 'Rotate the signing key',
      body: [
        h(
          'p',
          'A new key signs within 30 seconds everywhere. The old one stays in /jwks until what it signed is dead.',
        ),
        h(
          'div.notice.warn',
          icon('alert'),
          h('strong', 'Before you go on'),
          h(
            'p',
            'Save a copy of ',
            h('a', { href: '/jwks', target: '_blank' }, '/jwks'),
            '. Phones that ship a pinned key set need the new one.',
          ),
        ),
        field('Algorithm of the new key', algorithms),
      ],
      submit: 'Rotate',
      act: (form) =>
        page.act('registry.v1.SigningKeyService/RotateSigningKey', {
          requestId,
          algorithm: form.get('algorithm'),
        }),
    },
    'The new key signs from now on',
    reload,
  );
}
