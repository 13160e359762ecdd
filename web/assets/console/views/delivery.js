/** One delivery with its attempts. */
import { copyable, h, replace, toast } from '../../lib/dom.js';
import { exactly, time } from '../../lib/format.js';
import { utf8 } from '../../lib/jose.js';
import { indented } from '../../lib/json_text.js';
import { plainLines } from '../../lib/plain.js';
import { Problem } from '../../lib/problem.js';
import { DELIVERY_STATES, stateBadge } from '../names.js';
import { attemptText } from '../ui/attempt.js';
import { button, codeBlock, facts, foreign, heading, identifierLink, showHeading } from '../ui/elements.js';
import { eventually } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../types.js').Delivery} Delivery */
/** @typedef {import('../types.js').Attempt} Attempt */

const SERVICE = 'notification.v1.DeliveryService';

/**
 * Shows the view.
 * @param {Page} page
 */
export async function show(page) {
  const id = page.query.get('id') ?? '';
  const back = { href: page.address('deliveries'), text: 'Deliveries' };
  const top = h('div', heading('Delivery', { back }));
  const place = h('div');
  replace(page.main, top, place);
  await load();

  async function load() {
    await eventually(place, page.signal, async () => {
      const delivery = await page.read(`${SERVICE}/GetDelivery`, { id });
      const again = button('Send again', send, { icon: 'send' });
      showHeading(top, delivery.eventType, {
        back,
        state: stateBadge(DELIVERY_STATES, delivery.state),
        actions: page.mayAct && again,
      });
      const left = h('div.stack.wide', attemptsCard(delivery), payloadCard(delivery));
      return h('div.detail', left, factsCard(page, delivery));
    });
  }

  /** @param {Event} event */
  async function send({ currentTarget }) {
    const button = /** @type {HTMLButtonElement} */ (currentTarget);
    button.ariaBusy = 'true';
    try {
      await page.act(`${SERVICE}/Redeliver`, { id });
      toast('Sending again');
      await load();
    } catch (cause) {
      if (!(cause instanceof Problem)) throw cause;
      toast(`Not sent again. ${cause.message}`, { tone: 'bad' });
    } finally {
      button.ariaBusy = null;
    }
  }
}

/** @param {Delivery} delivery */
function attemptsCard({ attempts = [], state, nextAttemptAt }) {
  const next =
    state === 'DELIVERY_STATE_PENDING' &&
    nextAttemptAt &&
    h('li', h('strong', 'Next attempt'), h('span.small.muted', time(nextAttemptAt)));
  return h(
    'section.card',
    h('header', h('h2', 'Attempts')),
    attempts.length || next
      ? h('ol.timeline', attempts.map(attemptItem), next)
      : h('p.muted.small', 'No attempts yet.'),
  );
}

/** @param {Attempt} attempt */
function attemptItem(attempt) {
  const { startedAt, statusCode = 0, error, response } = attempt;
  const well = statusCode >= 200 && statusCode < 300 && !error;
  return h(
    'li',
    { class: well ? 'ok' : 'bad' },
    h('strong', attemptText(attempt)),
    h('span.small.muted', exactly(new Date(startedAt)), ', ', time(startedAt)),
    response && codeBlock('Response', plainLines(response)),
  );
}

/**
 * What is sent. Only its beginning is shown when it is long.
 * @param {Delivery} delivery
 */
function payloadCard({ body, bodyBytes = '0', endpointId }) {
  if (!body) return null;
  const shown = utf8(body).length;
  const whole = Number(bodyBytes);
  const notes = [
    'POST with Content-Type: application/json and the headers webhook-id, webhook-timestamp and webhook-signature.',
    !endpointId && ' A callback also gets the signed result, as jwt.',
    shown < whole && ` The first ${shown} of ${whole} bytes are shown.`,
  ];
  // Numbers stay as they were written. The beginning of JSON is no JSON.
  const text = shown < whole ? body : indented(body);
  return h(
    'section.card',
    h('header', h('div.stack.tight', h('h2', 'Payload'), h('p.small.muted', notes))),
    codeBlock('Payload', plainLines(text)),
  );
}

/**
 * @param {Page} page
 * @param {Delivery} delivery
 */
function factsCard(page, { id, url, trusonaficationId, subject, endpointId, occurredAt, createdAt }) {
  return h(
    'section.card',
    h('header', h('h2', 'Delivery')),
    facts([
      ['webhook-id', copyable(id, { label: 'webhook-id' })],
      ['URL', h('span.break', url)],
      [
        'Sent to',
        endpointId
          ? [
              'Endpoint ',
              identifierLink(endpointId, 'endpoint id', page.address('deliveries', { endpoint: endpointId })),
            ]
          : 'Callback of the trusonafication',
      ],
      trusonaficationId
        ? [
            'Trusonafication',
            identifierLink(
              trusonaficationId,
              'trusonafication id',
              page.address('trusonafication', { id: trusonaficationId }),
            ),
          ]
        : !!subject && ['About', aboutLink(page, subject)],
      !!occurredAt && ['Occurred', exactly(new Date(occurredAt))],
      ['Created', exactly(new Date(createdAt))],
    ]),
  );
}

/**
 * What a delivery is about, if that is no trusonafication: a device and a user have a page of their own.
 * @param {Page} page
 * @param {string} subject
 */
function aboutLink(page, subject) {
  const slash = subject.indexOf('/');
  const [kind, id] = [subject.slice(0, slash), subject.slice(slash + 1)];
  if (kind === 'device')
    return ['Device ', identifierLink(id, 'device identifier', page.address('users', { device: id }))];
  if (kind === 'user') return ['User ', h('a', { href: page.address('users', { user: id }) }, foreign(id))];
  return copyable(subject, { label: 'subject' });
}
