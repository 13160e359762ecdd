/** The webhook endpoints of the relying party that fail every attempt. */
import { h } from '../../../lib/dom.js';
import { time } from '../../../lib/format.js';
import { icon } from '../../../lib/icons.js';
import { rpc } from '../../api.js';
import { chooseRelyingParty } from '../../relying_parties.js';
import { address } from '../../router.js';
import { foreign } from '../../ui/elements.js';

/** @typedef {import('../../types.js').Endpoint} Endpoint */
/** @typedef {{ relyingParty: string, endpoints: Endpoint[] }} Failing */

/** As many as a relying party has, unless its limits say otherwise. */
const MOST = 50;

/**
 * Reads them. If they cannot be read, there are none; the alarms still count them.
 * @param {AbortSignal} signal
 * @returns {Promise<Failing>}
 */
export async function readFailing(signal) {
  const relyingParty = chooseRelyingParty();
  if (!relyingParty) return { relyingParty, endpoints: [] };
  const method = 'notification.v1.EndpointService/ListEndpoints';
  const answer = await rpc(method, { pageSize: MOST }, { relyingParty, signal }).catch(() => ({}));
  /** @type {Endpoint[]} */
  const endpoints = answer.endpoints ?? [];
  return { relyingParty, endpoints: endpoints.filter(({ enabled, failingSince }) => enabled && failingSince) };
}

/**
 * Names them.
 * @param {Failing} failing
 */
export function failingNotices({ relyingParty, endpoints }) {
  return endpoints.map((endpoint) => notice(endpoint, relyingParty));
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
