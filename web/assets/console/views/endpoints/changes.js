/** What can be done with webhook endpoints, each asked about first. */
import { ask } from '../../../lib/dialog.js';
import { h, toast } from '../../../lib/dom.js';
import { checkbox, field, select } from '../../../lib/form.js';
import { EVENT_TYPES } from '../../names.js';
import { newRequestId } from '../../request_id.js';
import { go } from '../../router.js';
import { change, showSecrets } from '../../ui/dialogs.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {import('../../types.js').Endpoint} Endpoint */
/** @typedef {() => Promise<void>} Reload */

const SERVICE = 'notification.v1.EndpointService';

/** How long old keys sign, too, in seconds. */
const OVERLAPS = /** @type {[string, string][]} */ ([
  ['86400', 'A day'],
  ['604800', 'A week'],
  ['3600', 'An hour'],
  ['0', 'Not at all: the old secret is compromised'],
]);

/**
 * Writes an event type without what they all begin with.
 * @param {string} type
 */
export function shortType(type) {
  return type.replace('trusonafication.', '');
}

/** @param {Partial<Endpoint>} endpoint */
function fields({ url = '', eventTypes = [] }) {
  const types = EVENT_TYPES.map((type) =>
    checkbox('types', shortType(type), { value: type, checked: !eventTypes.length || eventTypes.includes(type) }),
  );
  return [
    field(
      'URL',
      h('input', {
        type: 'url',
        name: 'url',
        value: url,
        placeholder: 'https://shop.example.com/nodkey',
        autocomplete: 'off',
      }),
      'https, on a public address or a network that the deployment allows.',
    ),
    h('fieldset.field', h('legend', 'Events'), h('div.grid.choices', types)),
  ];
}

/** @param {FormData} form */
function chosenTypes(form) {
  const types = form.getAll('types');
  return types.length === EVENT_TYPES.length ? [] : types;
}

/**
 * Creates one, and shows its secret.
 * @param {Page} page
 * @param {Reload} reload
 */
export function add(page, reload) {
  const requestId = newRequestId();
  const question = { title: 'Create an endpoint', body: fields({}), submit: 'Create' };
  return handOver(question, reload, (form) =>
    page.act(`${SERVICE}/CreateEndpoint`, { requestId, url: form.get('url'), eventTypes: chosenTypes(form) }),
  );
}

/**
 * Gives one new keys, and shows the secret.
 * @param {Page} page
 * @param {Endpoint} endpoint
 * @param {Reload} reload
 */
export function rotate(page, { id, url }, reload) {
  const requestId = newRequestId();
  const overlap = select('overlap_seconds', OVERLAPS);
  const body = [
    h('p.break', url),
    field('How long the old keys also sign', overlap, 'The receiver needs the new secret before then.'),
  ];
  return handOver({ title: 'Rotate the keys', body, submit: 'Rotate' }, reload, (form) =>
    page.act(`${SERVICE}/RotateEndpointKeys`, {
      requestId,
      id,
      overlapSeconds: Number(form.get('overlap_seconds')),
    }),
  );
}

/**
 * Asks, does what gives out a secret, and shows that.
 * @param {Pick<Parameters<typeof ask>[0], 'title' | 'body' | 'submit'>} question
 * @param {Reload} reload
 * @param {(form: FormData) => Promise<{ endpoint: Endpoint, secret: string }>} make
 */
async function handOver(question, reload, make) {
  const done = await ask({ ...question, act: make });
  if (!done) return;
  const { endpoint, secret } = done.result;
  await showSecrets(
    'The keys of the endpoint',
    'The receiver verifies each webhook with one of these: the secret (v1) or the public key (v1a).',
    {
      Secret: secret,
      'Public key': endpoint.publicKey,
    },
  );
  await reload();
}

/**
 * Changes where one is and what it is told.
 * @param {Page} page
 * @param {Endpoint} endpoint
 * @param {Reload} reload
 */
export function edit(page, endpoint, reload) {
  const question = {
    title: 'Change the endpoint',
    body: fields(endpoint),
    submit: 'Save',
    act: (/** @type {FormData} */ form) =>
      page.act(`${SERVICE}/UpdateEndpoint`, {
        id: endpoint.id,
        url: form.get('url'),
        eventTypes: { eventTypes: chosenTypes(form) },
      }),
  };
  return change(question, 'Saved', reload);
}

/**
 * Switches one off.
 * @param {Page} page
 * @param {Endpoint} endpoint
 * @param {Reload} reload
 */
export function switchOff(page, { id, url }, reload) {
  const question = {
    title: 'Switch this endpoint off?',
    body: [
      h('p.break', url),
      h('p', 'It receives nothing while it is off. Its deliveries are kept as exhausted and can be sent later.'),
    ],
    submit: 'Switch off',
    act: () => page.act(`${SERVICE}/UpdateEndpoint`, { id, enabled: false }),
  };
  return change(question, 'Switched off', reload);
}

/**
 * Switches one on.
 * @param {Page} page
 * @param {Endpoint} endpoint
 * @param {Reload} reload
 */
export function switchOn(page, { id, url }, reload) {
  const question = {
    title: 'Switch this endpoint on?',
    body: [
      h('p.break', url),
      h('p', 'It receives events from now on. To send those it missed, use "Send again" in its deliveries.'),
    ],
    submit: 'Switch on',
    act: () => page.act(`${SERVICE}/UpdateEndpoint`, { id, enabled: true }),
  };
  return change(question, 'Switched on', reload);
}

/**
 * Deletes one.
 * @param {Page} page
 * @param {Endpoint} endpoint
 * @param {Reload} reload
 */
export function remove(page, { id, url }, reload) {
  const question = {
    title: 'Delete this endpoint?',
    body: [h('p.break', url), h('p', 'Its pending deliveries are discarded. This cannot be undone.')],
    submit: 'Delete',
    danger: true,
    act: () => page.act(`${SERVICE}/DeleteEndpoint`, { id }),
  };
  return change(question, 'Deleted', reload);
}

/**
 * Sends one a test, and shows what becomes of it.
 * @param {Page} page
 * @param {Endpoint} endpoint
 */
export async function sendTest(page, { id, url }) {
  const done = await ask({
    title: 'Send a test webhook?',
    body: [
      h('p.break', url),
      h('p', 'The endpoint receives one event of type ', h('code', 'endpoint.test'), ', signed like any other.'),
    ],
    submit: 'Send test',
    act: () => page.act(`${SERVICE}/TestEndpoint`, { id }),
  });
  if (!done) return;
  toast('Test sent');
  go(page.address('delivery', { id: done.result.id }));
}
