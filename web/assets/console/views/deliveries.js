/** Deliveries: what was, is or will be sent to backends. */
import { h, replace, toast } from '../../lib/dom.js';
import { ask } from '../../lib/dialog.js';
import { checkbox, field, select } from '../../lib/form.js';
import { time } from '../../lib/format.js';
import { choices, DELIVERY_STATES, stateBadge } from '../names.js';
import { button, heading, none } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { isOldestFirst, ORDER, PERIOD, startOf } from '../ui/period.js';
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
  const lead = 'Webhooks sent to backends, or waiting to be sent.';
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
      PERIOD,
      ORDER,
    ],
    method: `${SERVICE}/ListDeliveries`,
    rows: 'deliveries',
    message: () => ({
      state: page.value('state'),
      endpointId: page.value('endpoint'),
      trusonaficationId: page.value('trusonafication'),
      subject: page.value('about'),
      createdAfter: startOf(page.query),
      oldestFirst: isOldestFirst(page.query) || undefined,
    }),
    empty: empty({
      icon: 'send',
      title: 'No deliveries yet',
      text: 'Each event is sent to the endpoints that subscribe to it. The result of a trusonafication is also sent to its callback.',
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
      text: ({ eventType }) => eventType,
    },
    {
      label: 'State',
      cell: ({ state }) => stateBadge(DELIVERY_STATES, state),
      text: ({ state }) => DELIVERY_STATES[state]?.text ?? state,
    },
    { label: 'Sent to', cell: ({ endpointId }) => (endpointId ? 'Endpoint' : 'Callback'), text: ({ url }) => url },
    {
      label: 'Attempts',
      end: true,
      cell: ({ attemptCount = 0 }) => attemptCount,
      text: ({ attemptCount = 0 }) => String(attemptCount),
    },
    {
      label: 'Next attempt',
      cell: ({ nextAttemptAt, state }) =>
        nextAttemptAt && state === 'DELIVERY_STATE_PENDING' ? time(nextAttemptAt) : none(),
    },
    { label: 'Created', cell: ({ createdAt }) => time(createdAt), text: ({ createdAt }) => createdAt },
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
      h('p', 'Sends exhausted deliveries again, with the same webhook-id.'),
      field('Created in', select('period', PERIODS, '24')),
      field(
        'To',
        select(
          'endpoint',
          [['', 'Every endpoint and callback'], ...byUrl(endpoints)],
          page.query.get('endpoint') ?? '',
        ),
      ),
      checkbox('succeeded', 'Include succeeded deliveries', { hint: 'Their receivers get them twice.' }),
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
  toast(count === 1 ? 'Sending 1 delivery again' : `Sending ${count} deliveries again`);
  await reload();
}
