/** Relying parties: all of them, and making one. */
import { h, replace, toast } from '../../lib/dom.js';
import { ask } from '../../lib/dialog.js';
import { checkbox, field } from '../../lib/form.js';
import { time } from '../../lib/format.js';
import { badge } from '../names.js';
import { newRequestId } from '../request_id.js';
import { loadRelyingParties } from '../relying_parties.js';
import { address, go } from '../router.js';
import { button, foreign, heading, identifier } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { empty } from '../ui/states.js';

/** @typedef {import('../relying_parties.js').RelyingParty} RelyingParty */

/** @type {import('../ui/table.js').Column<RelyingParty>[]} */
const COLUMNS = [
  {
    label: 'Name',
    cell: ({ id, name }) => h('a.row-link', { href: address('trusonafications', { rp: id }) }, foreign(name)),
  },
  { label: 'Id', cell: ({ id }) => identifier(id, 'id') },
  {
    label: 'State',
    cell: ({ disabled }) => (disabled ? badge({ text: 'Disabled' }) : badge({ text: 'Active', tone: 'ok' })),
  },
  { label: 'Created', cell: ({ createdAt }) => time(createdAt) },
  {
    label: 'Actions',
    actions: true,
    cell: ({ id, name }) =>
      h(
        'a.button.small.quiet',
        { href: address('settings', { rp: id }), 'aria-label': `Settings of ${name}` },
        'Settings',
      ),
  },
];

/**
 * Shows the view.
 * @param {import('../page.js').Page} page
 */
export function show(page) {
  const create = () =>
    page.mayAct && button('Create relying party', () => add(page), { look: 'primary', icon: 'plus' });
  const list = listing(page, {
    caption: 'Relying parties',
    columns: COLUMNS,
    method: 'registry.v1.RelyingPartyService/ListRelyingParties',
    rows: 'relyingParties',
    empty: empty({
      icon: 'building',
      title: 'No relying parties yet',
      text: 'Create one for each organization that sends requests to its users.',
      action: create(),
    }),
  });
  replace(
    page.main,
    heading('Relying parties', {
      lead: 'Organizations that send requests to their users. Their data is isolated from each other.',
      actions: create(),
    }),
    list.element,
  );
  void list.reload();
}

/** @param {import('../page.js').Page} page */
async function add(page) {
  const requestId = newRequestId();
  const created = await ask({
    title: 'Create a relying party',
    body: [
      field(
        'Name',
        h('input', { name: 'name', maxlength: 100, autocomplete: 'off' }),
        'Phones show it with every request.',
      ),
      checkbox('clients', 'The backend uses a Trusona SDK', {
        hint: 'Tolerates their incorrect signatures. You can change this later in the settings.',
      }),
    ],
    submit: 'Create',
    act: async (form) => {
      const message = { requestId, name: form.get('name'), trusonaClients: form.has('clients') };
      const { id } = await page.act('registry.v1.RelyingPartyService/CreateRelyingParty', message);
      await loadRelyingParties();
      return id;
    },
  });
  if (!created) return;
  toast('Created. Next, create its credentials.');
  go(address('credentials', { rp: created.result }));
}
