/** What happened, in order: asked, ended, told to the backend. */
import { h } from '../../../lib/dom.js';
import { duration, time } from '../../../lib/format.js';
import { DELIVERY_STATES, levelText, REJECT_REASONS, stateBadge, STATUSES } from '../../names.js';
import { attemptText } from '../../ui/attempt.js';
import { eventually } from '../../ui/states.js';
import { foreign } from '../../ui/elements.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {import('../../types.js').Trusonafication} Trusonafication */
/** @typedef {import('../../types.js').Delivery} Delivery */

const SERVICE = 'notification.v1.DeliveryService';

/** As many deliveries as are shown with their attempts; a question goes to one callback and to few endpoints. */
const MOST = 20;

/**
 * Shows what happened to a question.
 * @param {Page} page
 * @param {Trusonafication} asked
 */
export function timelineCard(page, asked) {
  const deliveries = h('div');
  const over = asked.status !== 'STATUS_IN_PROGRESS';
  if (over)
    void eventually(deliveries, page.signal, async () => deliveryList(page, await deliveriesOf(page, asked.id)), 2);
  return h(
    'section.card',
    h('header', h('h2', 'What happened')),
    h(
      'ol.timeline',
      h('li.info', h('strong', 'Requested'), h('span.small.muted', addressee(asked), ', ', time(asked.createdAt))),
      over ? ending(asked) : waiting(asked),
    ),
    over && h('h3.small.muted', 'Webhooks'),
    over && deliveries,
  );
}

/** @param {Trusonafication} asked */
function addressee({ userIdentifier, trucodeId }) {
  if (trucodeId) return 'With a secure QR code';
  return userIdentifier ? foreign(userIdentifier) : 'A device';
}

/** @param {Trusonafication} asked */
function waiting({ expiresAt }) {
  return h('li', h('strong', 'Waiting for the answer'), h('span.small.muted', 'expires ', time(expiresAt)));
}

/** @param {Trusonafication} asked */
function ending({ status, result, userIdentifier, createdAt, updatedAt }) {
  const { text, tone = '' } = STATUSES[status] ?? { text: status };
  const took = duration(Date.parse(updatedAt) - Date.parse(createdAt));
  return h(
    'li',
    { class: tone },
    h('strong', text),
    result?.rejectReason && h('span.small', REJECT_REASONS[result.rejectReason] ?? result.rejectReason),
    result?.acceptedLevel && h('span.small', levelText(result.acceptedLevel)),
    result?.boundUserIdentifier &&
      result.boundUserIdentifier !== userIdentifier &&
      h('span.small', 'By ', foreign(result.boundUserIdentifier)),
    h('span.small.muted', `after ${took}, `, time(updatedAt)),
  );
}

/**
 * @param {Page} page
 * @param {string} trusonaficationId
 * @returns {Promise<Delivery[]>} each with its attempts, oldest first
 */
async function deliveriesOf(page, trusonaficationId) {
  const { deliveries = [] } = await page.read(`${SERVICE}/ListDeliveries`, { trusonaficationId, pageSize: MOST });
  const whole = deliveries.map((/** @type {Delivery} */ { id }) => page.read(`${SERVICE}/GetDelivery`, { id }));
  return (await Promise.all(whole)).reverse();
}

/**
 * @param {Page} page
 * @param {Delivery[]} deliveries
 */
function deliveryList(page, deliveries) {
  if (!deliveries.length) return h('p.small.muted', 'No endpoint and no callback receives this result.');
  return h(
    'ol.timeline',
    deliveries.map((delivery) => deliveryItem(page, delivery)),
  );
}

/**
 * @param {Page} page
 * @param {Delivery} delivery
 */
function deliveryItem(page, { id, url, state, attempts = [], nextAttemptAt }) {
  const { tone = '' } = DELIVERY_STATES[state] ?? {};
  return h(
    'li',
    { class: tone },
    h('div.row', h('a.break', { href: page.address('delivery', { id }) }, url), stateBadge(DELIVERY_STATES, state)),
    attempts.map((attempt) => h('span.small', attemptText(attempt), ' ', h('span.muted', time(attempt.startedAt)))),
    state === 'DELIVERY_STATE_PENDING' && nextAttemptAt && h('span.small.muted', 'next attempt ', time(nextAttemptAt)),
  );
}
