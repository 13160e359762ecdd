/** Operators: the people who run the deployment. */
import { copyable, h, replace } from '../../lib/dom.js';
import { ask, tellOnce } from '../../lib/dialog.js';
import { field, select } from '../../lib/form.js';
import { time } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { choices, OPERATOR_STATES, ROLE_RIGHTS, ROLES, stateBadge } from '../names.js';
import { newRequestId } from '../request_id.js';
import { address, go } from '../router.js';
import { button, foreign, heading, none } from '../ui/elements.js';
import { change } from '../ui/dialogs.js';
import { listing } from '../ui/listing.js';
import { rowMenu } from '../ui/row_menu.js';
import { empty } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {{ id: string, name: string, role: string, state: string, createdAt: string, signedInAt?: string, invitationExpiresAt?: string }} Operator */
/** @typedef {{ operator: Operator, link: string, expiresAt: string }} Invitation */

const SERVICE = 'registry.v1.OperatorService';

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const create = () => page.mayOwn && button('Invite', () => invite(page, reload), { look: 'primary', icon: 'plus' });
  const list = listing(page, {
    caption: 'Operators',
    columns: columns(page, reload),
    method: `${SERVICE}/ListOperators`,
    rows: 'operators',
    empty: empty({
      icon: 'user',
      title: 'No operators yet',
      text: 'People who can sign in to this console are listed here.',
      action: create(),
    }),
  });

  /** @returns {Promise<void>} */
  function reload() {
    return list.reload();
  }

  const lead = page.mayOwn
    ? 'Operators sign in with their phones. Their actions are recorded in the audit log.'
    : 'Operators sign in with their phones. Only owners can change this list.';
  replace(page.main, heading('Operators', { lead, actions: create() }), list.element);
  void reload();
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 * @returns {import('../ui/table.js').Column<Operator>[]}
 */
function columns(page, reload) {
  const self = page.session.operator.id;
  /** @type {import('../ui/table.js').Column<Operator>[]} */
  const shown = [
    { label: 'Name', cell: ({ id, name }) => [foreign(name), id === self && h('span.muted', ' (you)')] },
    { label: 'Role', cell: ({ role }) => h('span', { title: ROLE_RIGHTS[role] }, ROLES[role] ?? role) },
    {
      label: 'State',
      cell: ({ state, invitationExpiresAt }) => [
        stateBadge(OPERATOR_STATES, state),
        invitationExpiresAt && h('div.small.muted', 'link expires ', time(invitationExpiresAt)),
      ],
    },
    { label: 'Last signed in', cell: ({ signedInAt }) => (signedInAt ? time(signedInAt) : none()) },
    { label: 'Added', cell: ({ createdAt }) => time(createdAt) },
  ];
  if (!page.mayOwn) return shown;
  const actions = (/** @type {Operator} */ operator) =>
    rowMenu(operator.name, [
      { text: 'Change', act: () => edit(page, operator, reload) },
      { text: 'New invitation', act: () => renew(page, operator, reload) },
      { text: 'Sessions', act: () => go(address('sessions', { operator: operator.id })) },
      operator.id !== self && { text: 'Disable', danger: true, act: () => disable(page, operator, reload) },
    ]);
  return [
    ...shown,
    { label: 'Actions', actions: true, cell: (row) => row.state !== 'OPERATOR_STATE_DISABLED' && actions(row) },
  ];
}

/** @param {string} [name] */
function nameField(name = '') {
  return field('Name', h('input', { name: 'name', value: name, maxlength: 100, autocomplete: 'off' }));
}

/** @param {string} [role] */
function roleField(role = 'ROLE_OPERATOR') {
  const rights = Object.entries(ROLE_RIGHTS).map(([value, text]) => `${ROLES[value]}: ${text.toLowerCase()}.`);
  return field('Role', select('role', choices(ROLES), role), rights.join(' '));
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 */
function invite(page, reload) {
  const requestId = newRequestId();
  return handOut(reload, 'Invite an operator', [nameField(), roleField()], (form) =>
    page.act(`${SERVICE}/InviteOperator`, { requestId, name: form.get('name'), role: form.get('role') }),
  );
}

/**
 * @param {Page} page
 * @param {Operator} operator
 * @param {() => Promise<void>} reload
 */
function renew(page, { id, name }, reload) {
  const text =
    'With the new link they set up another phone. Their current phone and sessions are revoked immediately, even if the link is never used.';
  return handOut(reload, `New invitation for ${name}`, h('p', text), () =>
    page.act(`${SERVICE}/RenewInvitation`, { id }),
  );
}

/**
 * @param {() => Promise<void>} reload
 * @param {string} title
 * @param {import('../../lib/dom.js').Child} body
 * @param {(form: FormData) => Promise<Invitation>} make
 */
async function handOut(reload, title, body, make) {
  const done = await ask({ title, body, submit: 'Create link', act: make });
  if (!done) return;
  const invitation = done.result;
  const { qrSvg } = await import('../../lib/qr.js');
  await tellOnce({
    title: `Invitation for ${invitation.operator.name}`,
    body: [
      h(
        'p',
        'Scan this code with their phone, or send them the link over a private channel. It works once and expires ',
        time(invitation.expiresAt),
        '.',
      ),
      h('div.invitation-code', qrSvg(invitation.link, 'Invitation link as a QR code')),
      copyable(invitation.link, { label: 'the link', block: true }),
      h(
        'div.notice.warn',
        icon('alert'),
        h('p', 'The link is shown only now. The first person to open it becomes this operator.'),
      ),
    ],
    done: 'Done',
  });
  await reload();
}

/**
 * @param {Page} page
 * @param {Operator} operator
 * @param {() => Promise<void>} reload
 */
function edit(page, { id, name, role }, reload) {
  // Nobody changes their own role.
  const self = id === page.session.operator.id;
  return change(
    {
      title: `Change ${name}`,
      body: [nameField(name), !self && roleField(role)],
      submit: 'Save',
      act: (form) =>
        page.act(`${SERVICE}/UpdateOperator`, { id, name: form.get('name'), role: form.get('role') ?? undefined }),
    },
    'Saved',
    reload,
  );
}

/**
 * @param {Page} page
 * @param {Operator} operator
 * @param {() => Promise<void>} reload
 */
function disable(page, { id, name }, reload) {
  return change(
    {
      title: `Disable ${name}?`,
      body: h(
        'p',
        'Their sessions and their phone are revoked immediately. This cannot be undone. To restore access, invite them again.',
      ),
      submit: 'Disable',
      danger: true,
      act: () => page.act(`${SERVICE}/DisableOperator`, { id }),
    },
    'Disabled',
    reload,
  );
}
