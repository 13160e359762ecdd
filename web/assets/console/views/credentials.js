/** Credentials: what backends and apps of a relying party prove themselves with. */
import { h, replace } from '../../lib/dom.js';
import { ask } from '../../lib/dialog.js';
import { field, select } from '../../lib/form.js';
import { time } from '../../lib/format.js';
import { badge, choices, CREDENTIAL_KINDS } from '../names.js';
import { newRequestId } from '../request_id.js';
import { button, foreign, heading, identifier } from '../ui/elements.js';
import { change, showSecrets } from '../ui/dialogs.js';
import { listing } from '../ui/listing.js';
import { rowMenu } from '../ui/row_menu.js';
import { empty } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {{ id: string, kind: string, token: string, disabled?: boolean, createdAt: string, name?: string, lastUsedAt?: string }} Credential */

const SERVICE = 'registry.v1.CredentialService';

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const create = () =>
    page.mayAct && button('Create credential', () => add(page, reload), { look: 'primary', icon: 'plus' });
  const list = listing(page, {
    caption: 'Credentials',
    columns: columns(page, reload),
    method: `${SERVICE}/ListCredentials`,
    rows: 'credentials',
    message: () => ({ relyingPartyId: page.relyingParty }),
    empty: empty({
      icon: 'lock',
      title: 'No credentials yet',
      text: 'A backend needs a server credential. An app needs a mobile credential to register phones.',
      action: create(),
    }),
  });

  /** @returns {Promise<void>} */
  function reload() {
    return list.reload();
  }

  const lead =
    'A token identifies the relying party, a secret signs requests. To rotate a credential, create a new one, deploy it, then disable the old one.';
  replace(page.main, heading('Credentials', { lead, actions: create() }), list.element);
  void reload();
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 * @returns {import('../ui/table.js').Column<Credential>[]}
 */
function columns(page, reload) {
  /** @type {import('../ui/table.js').Column<Credential>[]} */
  const shown = [
    {
      label: 'Name',
      cell: ({ name }) => (name ? foreign(name) : h('span.muted', 'Unnamed')),
      text: ({ name = '' }) => name,
    },
    {
      label: 'Kind',
      cell: ({ kind }) => CREDENTIAL_KINDS[kind] ?? kind,
      text: ({ kind }) => CREDENTIAL_KINDS[kind] ?? kind,
    },
    { label: 'Id', cell: ({ id }) => identifier(id, 'id'), text: ({ id }) => id },
    { label: 'Token', cell: ({ token }) => identifier(token, 'token') },
    {
      label: 'State',
      cell: ({ disabled }) => (disabled ? badge({ text: 'Disabled' }) : badge({ text: 'Active', tone: 'ok' })),
      text: ({ disabled }) => (disabled ? 'Disabled' : 'Active'),
    },
    {
      label: 'Last used',
      cell: ({ lastUsedAt }) => (lastUsedAt ? hourOf(lastUsedAt) : h('span.muted', 'Not yet')),
      text: ({ lastUsedAt = '' }) => lastUsedAt,
    },
    { label: 'Created', cell: ({ createdAt }) => time(createdAt), text: ({ createdAt }) => createdAt },
  ];
  if (!page.mayAct) return shown;
  const actions = (/** @type {Credential} */ credential) =>
    rowMenu(`${CREDENTIAL_KINDS[credential.kind]} credential ${credential.name || credential.id}`, [
      { text: 'Rename', act: () => rename(page, credential, reload) },
      { text: 'Rotate', act: () => rotate(page, credential, reload) },
      { text: 'Disable', danger: true, act: () => disable(page, credential, reload) },
    ]);
  return [...shown, { label: 'Actions', actions: true, cell: (row) => !row.disabled && actions(row) }];
}

/**
 * A last use is noted once an hour.
 * @param {string} at
 */
function hourOf(at) {
  return Date.now() - Date.parse(at) < 3_600_000 ? 'In the last hour' : time(at);
}

/** @param {string} [name] */
function nameField(name = '') {
  return field(
    'Name',
    h('input', { name: 'name', value: name, maxlength: 100, autocomplete: 'off' }),
    'Where it is used, such as “Shop backend”. Optional.',
  );
}

/**
 * @param {Page} page
 * @param {Credential} credential
 * @param {() => Promise<void>} reload
 */
function rename(page, { id, name }, reload) {
  return change(
    {
      title: 'Rename this credential',
      body: nameField(name),
      submit: 'Save',
      act: (form) =>
        page.act(`${SERVICE}/UpdateCredential`, { relyingPartyId: page.relyingParty, id, name: form.get('name') }),
    },
    'Saved',
    reload,
  );
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 */
function add(page, reload) {
  return create(page, reload, {
    title: 'Create a credential',
    body: [
      field(
        'Kind',
        select('kind', choices(CREDENTIAL_KINDS)),
        'Server: for a backend, to send requests to users. Mobile: for an app, only to register phones.',
      ),
      nameField(),
    ],
    submit: 'Create',
  });
}

/**
 * @param {Page} page
 * @param {Credential} credential
 * @param {() => Promise<void>} reload
 */
function rotate(page, { id, kind, name }, reload) {
  return create(page, reload, {
    title: `Rotate a ${CREDENTIAL_KINDS[kind].toLowerCase()} credential`,
    body: [
      h(
        'p',
        'Creates a new credential of the same kind. The old one stays valid until you disable it. Disable it when the new one is deployed everywhere.',
      ),
      h('p', 'Old credential: ', identifier(id, 'id')),
      nameField(name),
      h('input', { type: 'hidden', name: 'kind', value: kind }),
    ],
    submit: 'Create new credential',
  });
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 * @param {Pick<Parameters<typeof ask>[0], 'title' | 'body' | 'submit'>} question whose form names the kind
 */
async function create(page, reload, question) {
  const requestId = newRequestId();
  const done = await ask({
    ...question,
    act: (form) => {
      const message = { requestId, relyingPartyId: page.relyingParty, kind: form.get('kind'), name: form.get('name') };
      return page.act(`${SERVICE}/CreateCredential`, message);
    },
  });
  if (!done) return;
  const { credential, secret } = /** @type {{ credential: Credential, secret: string }} */ (done.result);
  await showSecrets(
    'The new credential',
    `For ${credential.kind === 'CREDENTIAL_KIND_MOBILE' ? 'the app' : 'the backend'}: both are needed.`,
    {
      Token: credential.token,
      Secret: secret,
    },
  );
  await reload();
}

/**
 * @param {Page} page
 * @param {Credential} credential
 * @param {() => Promise<void>} reload
 */
function disable(page, { id, kind }, reload) {
  const consequence =
    kind === 'CREDENTIAL_KIND_MOBILE'
      ? 'Apps with this credential can no longer register phones. Registered phones keep working.'
      : 'Requests by backends with this credential are refused within 30 seconds.';
  return change(
    {
      title: 'Disable this credential?',
      body: [h('p', consequence, ' This cannot be undone.'), h('p', identifier(id, 'id'))],
      submit: 'Disable',
      danger: true,
      act: () => page.act(`${SERVICE}/DisableCredential`, { relyingPartyId: page.relyingParty, id }),
    },
    'Disabled',
    reload,
  );
}
