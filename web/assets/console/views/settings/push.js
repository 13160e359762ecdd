/** What a relying party is to push providers, and what they last refused. */
import { copyable, h } from '../../../lib/dom.js';
import { time } from '../../../lib/format.js';
import { icon } from '../../../lib/icons.js';
import { PUSH_PROVIDERS } from '../../names.js';
import { eventually } from '../../ui/states.js';
import { foreign } from '../../ui/elements.js';

/** @typedef {{ provider: string, description: string, publicKey?: string, updatedAt: string, lastFailure?: string, lastFailureAt?: string }} Configuration */

/**
 * Shows the providers that are set.
 * @param {import('../../page.js').Page} page
 */
export function pushCard(page) {
  const place = h('div');
  void eventually(
    place,
    page.signal,
    async () => content(await page.read('notification.v1.PushConfigurationService/ListPushConfigurations')),
    2,
  );
  const lead = h(
    'p.small.muted',
    'Configure credentials with ',
    h('code', 'nodkey admin push'),
    ', from files on your machine.',
  );
  return h('section.card', h('header', h('div.stack.tight', h('h2', 'Push providers'), lead)), place);
}

/** @param {{ pushConfigurations?: Configuration[] }} answer */
function content({ pushConfigurations = [] }) {
  if (!pushConfigurations.length)
    return h('p.muted.small', 'None configured. Only UnifiedPush wakes phones. Open apps need no push.');
  return h('ul.stack', pushConfigurations.map(configuration));
}

/** @param {Configuration} set */
function configuration({ provider, description, publicKey, updatedAt, lastFailure, lastFailureAt }) {
  return h(
    'li.stack.tight',
    h('strong', PUSH_PROVIDERS[provider] ?? provider),
    h('p.small.muted', foreign(description), ', set ', time(updatedAt)),
    publicKey && copyable(publicKey, { label: 'public key' }),
    lastFailure &&
      h(
        'div.notice.bad',
        icon('alert'),
        h('strong', 'The provider refused a push', lastFailureAt && [' ', time(lastFailureAt)]),
        h('p', foreign(lastFailure)),
      ),
  );
}
