/** Webhook endpoints: where the backend is told. */
import { h, replace } from '../../lib/dom.js';
import { time } from '../../lib/format.js';
import { badge, DISABLED_REASONS } from '../names.js';
import { button, heading, identifier } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { rowMenu } from '../ui/row_menu.js';
import { empty } from '../ui/states.js';
import { add, edit, remove, rotate, sendTest, shortType, switchOff, switchOn } from './endpoints/changes.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../types.js').Endpoint} Endpoint */
/** @typedef {() => Promise<void>} Reload */

const SERVICE = 'notification.v1.EndpointService';

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const create = () =>
    page.mayAct && button('Create endpoint', () => add(page, reload), { look: 'primary', icon: 'plus' });
  const list = listing(page, {
    caption: 'Webhook endpoints',
    columns: columns(page, reload),
    method: `${SERVICE}/ListEndpoints`,
    rows: 'endpoints',
    empty: empty({
      icon: 'webhook',
      title: 'No endpoints yet',
      text: 'An endpoint receives the results of trusonafications and events about devices and users. A backend can also wait or poll for results.',
      action: create(),
    }),
  });

  /** @returns {Promise<void>} */
  function reload() {
    return list.reload();
  }

  replace(
    page.main,
    heading('Webhook endpoints', {
      lead: 'URLs of the backend that receive results and events.',
      actions: create(),
    }),
    list.element,
  );
  void reload();
}

/**
 * @param {Page} page
 * @param {Reload} reload
 * @returns {import('../ui/table.js').Column<Endpoint>[]}
 */
function columns(page, reload) {
  return [
    {
      label: 'URL',
      cell: ({ id, url, eventTypes = [] }) => [
        h('a.break', { href: page.address('deliveries', { endpoint: id }) }, url),
        h('div.small.muted.regular', eventTypes.length ? eventTypes.map(shortType).join(', ') : 'all events'),
      ],
    },
    { label: 'State', cell: state },
    { label: 'Public key', minor: true, cell: ({ publicKey }) => identifier(publicKey, 'public key') },
    { label: 'Created', cell: ({ createdAt }) => time(createdAt) },
    { label: 'Actions', actions: true, cell: (endpoint) => page.mayAct && actions(page, endpoint, reload) },
  ];
}

/** @param {Endpoint} endpoint */
function state({ enabled, disabledReason = '', disabledAt, failingSince, previousKeysUntil }) {
  const details = [
    !enabled && [DISABLED_REASONS[disabledReason], disabledAt && [' ', time(disabledAt)]],
    enabled && failingSince && ['all attempts failed since ', time(failingSince)],
    previousKeysUntil &&
      new Date(previousKeysUntil) > new Date() && ['the previous keys also sign until ', time(previousKeysUntil)],
  ];
  const shown = !enabled
    ? badge({ text: 'Off' })
    : failingSince
      ? badge({ text: 'Failing', tone: 'bad', icon: 'alert' })
      : badge({ text: 'On', tone: 'ok' });
  return [shown, details.map((detail) => detail && h('div.small.muted', detail))];
}

/**
 * @param {Page} page
 * @param {Endpoint} endpoint
 * @param {Reload} reload
 */
function actions(page, endpoint, reload) {
  const { enabled, url } = endpoint;
  return rowMenu(url, [
    { text: enabled ? 'Switch off' : 'Switch on', act: () => (enabled ? switchOff : switchOn)(page, endpoint, reload) },
    !!enabled && { text: 'Send test', act: () => sendTest(page, endpoint) },
    { text: 'Change', act: () => edit(page, endpoint, reload) },
    { text: 'Rotate keys', act: () => rotate(page, endpoint, reload) },
    { text: 'Delete', danger: true, act: () => remove(page, endpoint, reload) },
  ]);
}
