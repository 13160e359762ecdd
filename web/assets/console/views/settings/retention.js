/** How long what is over is kept. */
import { h } from '../../../lib/dom.js';
import { facts } from '../../ui/elements.js';
import { eventually } from '../../ui/states.js';

/** @typedef {{ answeredDays?: number, unansweredDays?: number, unboundDeviceDays?: number }} Policy */

/**
 * Shows the policy of the relying party.
 * @param {import('../../page.js').Page} page
 */
export function retentionCard(page) {
  const place = h('div');
  void eventually(
    place,
    page.signal,
    async () =>
      content(
        await page.read('registry.v1.RetentionService/GetRetentionPolicy', { relyingPartyId: page.relyingParty }),
      ),
    3,
  );
  const lead = h(
    'p.small.muted',
    'Change it with ',
    h('code', 'nodkey admin retention set'),
    '. Older data is deleted permanently.',
  );
  return h('section.card', h('header', h('div.stack.tight', h('h2', 'Retention'), lead)), place);
}

/** @param {Policy} policy */
function content({ answeredDays = 0, unansweredDays, unboundDeviceDays }) {
  return facts([
    ['Answered trusonafications and their evidence', kept(answeredDays)],
    ['Expired and canceled trusonafications', kept(unansweredDays)],
    ['Devices without a binding, after they were last seen', kept(unboundDeviceDays)],
  ]);
}

/** @param {number} [days] 0: for ever; absent: the default of the deployment */
function kept(days) {
  if (days === undefined) return 'Default of the deployment: 90 days, unless configured otherwise';
  return days === 0 ? 'Forever' : `${days} ${days === 1 ? 'day' : 'days'}`;
}
