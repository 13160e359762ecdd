/** The webhook endpoints of the relying party that fail every attempt. */
import { h, replace } from '../../../lib/dom.js';
import { time } from '../../../lib/format.js';
import { icon } from '../../../lib/icons.js';
import { rpc } from '../../api.js';
import { chooseRelyingParty } from '../../relying_parties.js';
import { address } from '../../router.js';
import { foreign } from '../../ui/elements.js';

/** @typedef {import('../../types.js').Endpoint} Endpoint */

/** As many as a relying party has, unless its limits say otherwise. */
const MOST = 50;

/**
 * Names them at a place. If they cannot be read, none are named; the alarms still count them.
 * @param {import('../../page.js').Page} page
 * @param {Element} place
 */
export async function nameFailing(page, place) {
  const relyingParty = chooseRelyingParty();
  if (!relyingParty) return;
  const method = 'notification.v1.EndpointService/ListEndpoints';
  const answer = await rpc(method, { pageSize: MOST }, { relyingParty, signal: page.signal }).catch(() => ({}));
  /** @type {Endpoint[]} */
  const endpoints = answer.endpoints ?? [];
  const failing = endpoints.filter(({ enabled, failingSince }) => enabled && failingSince);
  if (!page.signal.aborted)
    replace(
      place,
      failing.map((endpoint) => notice(endpoint, relyingParty)),
    );
}

/**
 * @param {Endpoint} endpoint
 * @param {string} relyingParty
 */
function notice({ id, url, failingSince = '' }, relyingParty) {
  return h(
    'div.notice.warn',
    icon('alert'),
    h('strong', 'All webhooks to an endpoint have failed since ', time(failingSince)),
    h('p.break', h('a', { href: address('deliveries', { rp: relyingParty, endpoint: id }) }, foreign(url))),
  );
}
