/** Users and devices: the newest devices, those of one user, or one device. */
import { h, replace } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { time } from '../../lib/format.js';
import { badge, PLATFORMS } from '../names.js';
import { go } from '../router.js';
import { foreign, heading, identifier, none } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { empty } from '../ui/states.js';
import { showDevice } from './users/device.js';
import { showUser } from './users/user.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../types.js').Device} Device */

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const user = page.query.get('user');
  const device = page.query.get('device');
  const place = h('div.stack.wide');
  replace(
    page.main,
    heading('Users and devices', { lead: 'Which devices belong to whom, with their keys.' }),
    searchForm(page),
    place,
  );
  if (user) showUser(page, place, user);
  else if (device) showDevice(page, place, device);
  else showNewest(page, place);
}

/** @param {Page} page */
function searchForm(page) {
  const byDevice = page.query.has('device');
  const input = h('input', {
    type: 'search',
    name: 'text',
    value: page.query.get('device') ?? page.query.get('user'),
    autocomplete: 'off',
    spellcheck: 'false',
    required: true,
  });
  const kind = (/** @type {string} */ value, /** @type {string} */ text, /** @type {boolean} */ checked) =>
    h('label', h('input', { type: 'radio', name: 'kind', value, checked }), text);
  const kinds = h(
    'div.segmented',
    { role: 'radiogroup', 'aria-label': 'Find by' },
    kind('user', 'User', !byDevice),
    kind('device', 'Device', byDevice),
  );
  const form = h(
    'form.find',
    { role: 'search' },
    kinds,
    h('div.search.grow', icon('search'), input),
    h('button.button', { type: 'submit' }, 'Find'),
  );
  const name = () => {
    const what = `${new FormData(form).get('kind')} identifier`;
    input.placeholder = `Exact ${what}`;
    input.ariaLabel = `Exact ${what}`;
  };
  name();
  kinds.addEventListener('change', name);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const given = new FormData(form);
    go(page.address('users', { [String(given.get('kind'))]: String(given.get('text')).trim() }));
  });
  input.addEventListener('search', () => {
    if (!input.value && page.query.size > 1) go(page.address('users'));
  });
  return form;
}

/**
 * @param {Page} page
 * @param {Element} place
 */
function showNewest(page, place) {
  const list = listing(page, {
    caption: 'Newest devices',
    columns: columns(page),
    method: 'registry.v1.DeviceService/ListDevices',
    rows: 'devices',
    empty: empty({
      icon: 'phone',
      title: 'No phone has registered yet',
      text: 'An app registers with a mobile credential; then the backend binds the device to a user.',
    }),
  });
  replace(place, h('h2', 'Newest devices'), list.element);
  void list.reload();
}

/**
 * @param {Page} page
 * @returns {import('../ui/table.js').Column<Device>[]}
 */
function columns(page) {
  return [
    {
      label: 'Device',
      cell: ({ id, name }) =>
        h('a.row-link', { href: page.address('users', { device: id }) }, name ? foreign(name) : 'Unnamed'),
    },
    { label: 'Identifier', cell: ({ id }) => identifier(id, 'device identifier') },
    { label: 'Platform', cell: ({ platform = '' }) => PLATFORMS[platform] ?? none() },
    { label: 'App', cell: ({ appVersion }) => (appVersion ? foreign(appVersion) : none()) },
    {
      label: 'State',
      cell: ({ retired }) => (retired ? badge({ text: 'Retired' }) : badge({ text: 'Alive', tone: 'ok' })),
    },
    { label: 'Last seen', cell: ({ lastSeenAt }) => (lastSeenAt ? time(lastSeenAt) : none()) },
    { label: 'Registered', cell: ({ createdAt }) => time(createdAt) },
  ];
}
