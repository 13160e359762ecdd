/** Which apps open the relying party's links. */
import { h } from '../../../lib/dom.js';
import { orNull } from '../../../lib/problem.js';
import { facts, foreign } from '../../ui/elements.js';
import { eventually } from '../../ui/states.js';

/** @typedef {{ packageName: string, sha256CertFingerprints?: string[] }} AndroidApp */
/** @typedef {{ host?: string, androidApps?: AndroidApp[], appleAppIds?: string[], downloadUrl?: string }} AppLinks */

/**
 * Shows the links.
 * @param {import('../../page.js').Page} page
 */
export function appLinksCard(page) {
  const place = h('div');
  const method = 'registry.v1.AppLinkService/GetAppLinks';
  const read = () => orNull(page.read(method, { relyingPartyId: page.relyingParty }));
  void eventually(place, page.signal, async () => content((await read()) ?? {}), 3);
  const lead = h('p.small.muted', 'Configure them with ', h('code', 'nodkey admin app-links'), '.');
  return h('section.card', h('header', h('div.stack.tight', h('h2', 'App links'), lead)), place);
}

/** @param {AppLinks} links */
function content({ host, androidApps = [], appleAppIds = [], downloadUrl }) {
  if (!host) return h('p.muted.small', 'None configured. Links open in the browser.');
  return facts([
    ['Host', h('code', host)],
    ...androidApps.map(
      ({ packageName, sha256CertFingerprints = [] }) =>
        /** @type {[string, import('../../../lib/dom.js').Child]} */ ([
          'Android',
          [
            h('code', foreign(packageName)),
            h(
              'ul.stack.tight.small.muted',
              sha256CertFingerprints.map((print) => h('li', h('code.break', print))),
            ),
          ],
        ]),
    ),
    appleAppIds.length > 0 && [
      'iOS',
      h(
        'ul.stack.tight',
        appleAppIds.map((id) => h('li', h('code', foreign(id)))),
      ),
    ],
    !!downloadUrl && ['Download', h('span.break', foreign(downloadUrl))],
  ]);
}
