/** Deliveries: what was, is or will be sent to backends. */
import { h, replace, toast } from '../../lib/dom.js';
import { ask } from '../../lib/dialog.js';
import { checkbox, field, select } from '../../lib/form.js';
import { time } from '../../lib/format.js';
import { choices, DELIVERY_STATES, stateBadge } from '../names.js';
import { button, heading, none } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { empty, waiting } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../types.js').Delivery} Delivery */
/** @typedef {import('../types.js').Endpoint} Endpoint */

const SERVICE = 'notification.v1.DeliveryService';

/** A relying party has 50 endpoints at most. */
const MOST_ENDPOINTS = 50;

/** Hours back from now that deliveries can be sent again for. */
const PERIODS = /** @type {[string, string][]} */ ([
  ['1', 'The last hour'],
  ['24', 'The last day'],
  ['72', 'The last three days'],
  ['720', 'The last 30 days'],
]);

/**
 * Shows the view.
 * @param {Page} page
 */
export async function show(page) {
  const actions = h('div');
  const place = h('div', waiting(8));
  const lead = 'What was, is or will be sent to backends.';
  replace(page.main, heading('Deliveries', { lead, actions }), place);
  const endpoints = await endpointsOf(page);
  if (page.signal.aborted) return;
  const list = deliveryList(page, endpoints);
  const send = () => sendMany(page, endpoints, list.reload);
  if (page.mayAct) replace(actions, button('Send again', send, { icon: 'refresh' }));
  replace(place, list.element);
  void list.reload();
}

/**
 * The endpoints to filter by; none when they cannot be told, since the list is of use without.
 * @param {Page} page
 * @returns {Promise<Endpoint[]>}
 */
async function endpointsOf(page) {
  const method = 'notification.v1.EndpointService/ListEndpoints';
  const answer = await page.read(method, { pageSize: MOST_ENDPOINTS }).catch(() => ({}));
  return answer.endpoints ?? [];
}

/**
 * @param {Page} page
 * @param {Endpoint[]} endpoints
 */
function deliveryList(page, endpoints) {
  return listing(page, {
    caption: 'Deliveries',
    columns: columns(page),
    filters: [
      { name: 'state', label: 'State', kind: choices(DELIVERY_STATES) },
      { name: 'endpoint', label: 'Endpoint', kind: byUrl(endpoints) },
      { name: 'trusonafication', label: 'Trusonafication', kind: 'text', placeholder: 'Id' },
      { name: 'about', label: 'About', kind: 'text', placeholder: 'device/…' },
    ],
    method: `${SERVICE}/ListDeliveries`,
    rows: 'deliveries',
    message: () => ({
      state: page.value('state'),
      endpointId: page.value('endpoint'),
      trusonaficationId: page.value('trusonafication'),
      subject: page.value('about'),
    }),
    empty: empty({
      icon: 'send',
      title: 'Nothing was sent yet',
      text: 'When a question ends, each endpoint and its callback are told, and endpoints of what else they name.',
    }),
  });
}

/**
 * @param {Endpoint[]} endpoints
 * @returns {[string, string][]}
 */
function byUrl(endpoints) {
  return endpoints.map(({ id, url }) => [id, url.replace('https://', '')]);
}

/**
 * @param {Page} page
 * @returns {import('../ui/table.js').Column<Delivery>[]}
 */
function columns(page) {
  return [
    {
      label: 'Event',
      cell: ({ id, eventType, url }) => [
        h('a.row-link', { href: page.address('delivery', { id }) }, eventType),
        h('div.small.muted.regular.break', url),
      ],
    },
    { label: 'State', cell: ({ state }) => stateBadge(DELIVERY_STATES, state) },
    { label: 'Goes to', cell: ({ endpointId }) => (endpointId ? 'Endpoint' : 'Callback') },
    { label: 'Attempts', end: true, cell: ({ attemptCount = 0 }) => attemptCount },
    {
      label: 'Next attempt',
      cell: ({ nextAttemptAt, state }) =>
        nextAttemptAt && state === 'DELIVERY_STATE_PENDING' ? time(nextAttemptAt) : none(),
    },
    { label: 'Created', cell: ({ createdAt }) => time(createdAt) },
  ];
}

/**
 * @param {Page} page
 * @param {Endpoint[]} endpoints
 * @param {() => Promise<void>} reload
 */
async function sendMany(page, endpoints, reload) {
  const done = await ask({
    title: 'Send again',
    body: [
      h('p', 'Sends what is exhausted again, under the same webhook-id.'),
      field('Of', select('period', PERIODS, '24')),
      field(
        'To',
        select(
          'endpoint',
          [['', 'Every endpoint and callback'], ...byUrl(endpoints)],
          page.query.get('endpoint') ?? '',
        ),
      ),
      checkbox('succeeded', 'Also what succeeded', { hint: 'Receivers get it twice.' }),
    ],
    submit: 'Send again',
    act: (form) => {
      const since = new Date(Date.now() - Number(form.get('period')) * 3_600_000).toISOString();
      const message = { since, endpointId: form.get('endpoint'), includeSucceeded: form.has('succeeded') };
      return page.act(`${SERVICE}/RedeliverMany`, message);
    },
  });
  if (!done) return;
  const count = Number(done.result.count ?? 0);
  toast(count === 1 ? '1 delivery is sent again' : `${count} deliveries are sent again`);
  await reload();
}
