/** Users and devices: lists of them, one user, or one device. */
import { h, replace } from '../../lib/dom.js';
import { time } from '../../lib/format.js';
import { badge, PLATFORMS } from '../names.js';
import { button, foreign, heading, identifier, none } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { empty } from '../ui/states.js';
import { showDevice } from './users/device.js';
import { showUser } from './users/user.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../types.js').Device} Device */
/** @typedef {{ userIdentifier: string, freeze?: import('../types.js').Freeze, devices?: number }} User */

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const user = page.query.get('user');
  const device = page.query.get('device');
  const place = h('div.stack.wide');
  const one = user || device;
  const back = one ? { href: page.address('users'), text: 'All users' } : undefined;
  const lead = one ? undefined : 'The users of this relying party, their devices and keys.';
  const actions = !one && page.mayAct && page.relyingParty && button('Import users', () => openImport(page, place));
  replace(page.main, heading('Users and devices', { lead, back, actions }), !one && lists(page), place);
  if (user) void showUser(page, place, user);
  else if (device) void showDevice(page, place, device);
  else if (page.value('list') === 'devices') showDevices(page, place);
  else showUsers(page, place);
}

/**
 * Opens the import; what was imported is listed then.
 * @param {Page} page
 * @param {Element} place
 */
async function openImport(page, place) {
  const { importUsers } = await import('./users/import.js');
  if ((await importUsers(page)) && !page.signal.aborted && page.value('list') !== 'devices') showUsers(page, place);
}

/**
 * Links to the two lists.
 * @param {Page} page
 */
function lists(page) {
  const shown = page.value('list') ?? 'users';
  const link = (/** @type {string} */ list, /** @type {string} */ text) =>
    h(
      'a.button.small',
      {
        href: page.address('users', { list: list === 'users' ? null : list }),
        'aria-current': shown === list && 'page',
      },
      text,
    );
  return h('nav.row', { 'aria-label': 'Lists' }, link('users', 'Users'), link('devices', 'Devices'));
}

/**
 * @param {Page} page
 * @param {Element} place
 */
function showUsers(page, place) {
  const list = listing(page, {
    caption: 'Users',
    columns: userColumns(page),
    filters: [{ name: 'prefix', label: 'Identifier begins with', kind: 'text' }],
    method: 'binding.v1.UserService/ListUsers',
    rows: 'users',
    id: ({ userIdentifier }) => userIdentifier,
    message: () => ({ prefix: page.value('prefix') }),
    empty: empty({
      icon: 'users',
      title: 'No users yet',
      text: 'A user is listed when the backend binds their first device.',
    }),
  });
  replace(place, list.element);
  void list.reload();
}

/**
 * @param {Page} page
 * @returns {import('../ui/table.js').Column<User>[]}
 */
function userColumns(page) {
  return [
    {
      label: 'User',
      cell: ({ userIdentifier }) =>
        h('a.row-link', { href: page.address('users', { user: userIdentifier }) }, foreign(userIdentifier)),
      text: ({ userIdentifier }) => userIdentifier,
    },
    { label: 'Devices', end: true, cell: ({ devices = 0 }) => devices, text: ({ devices = 0 }) => String(devices) },
    { label: 'State', cell: (user) => badge(userState(user)), text: (user) => userState(user).text },
  ];
}

/**
 * @param {User} user
 * @returns {import('../names.js').Name}
 */
function userState({ freeze, devices = 0 }) {
  if (freeze) return { text: 'Frozen', tone: 'warn' };
  return devices ? { text: 'Active', tone: 'ok' } : { text: 'No device' };
}

/**
 * @param {Page} page
 * @param {Element} place
 */
function showDevices(page, place) {
  const list = listing(page, {
    caption: 'Devices',
    columns: deviceColumns(page),
    method: 'registry.v1.DeviceService/ListDevices',
    rows: 'devices',
    empty: empty({
      icon: 'phone',
      title: 'No devices yet',
      text: 'An app registers its device with a mobile credential. Then the backend binds the device to a user.',
    }),
  });
  replace(place, list.element);
  void list.reload();
}

/**
 * @param {Page} page
 * @returns {import('../ui/table.js').Column<Device>[]}
 */
function deviceColumns(page) {
  return [
    {
      label: 'Device',
      cell: ({ id, name }) =>
        h('a.row-link', { href: page.address('users', { device: id }) }, name ? foreign(name) : 'Unnamed'),
      text: ({ name = '' }) => name,
    },
    { label: 'Identifier', cell: ({ id }) => identifier(id, 'device identifier'), text: ({ id }) => id },
    {
      label: 'Platform',
      cell: ({ platform = '' }) => PLATFORMS[platform] ?? none(),
      text: ({ platform = '' }) => PLATFORMS[platform] ?? '',
    },
    { label: 'App', cell: ({ appVersion }) => (appVersion ? foreign(appVersion) : none()) },
    {
      label: 'State',
      cell: ({ retired }) => (retired ? badge({ text: 'Retired' }) : badge({ text: 'Registered', tone: 'ok' })),
      text: ({ retired }) => (retired ? 'Retired' : 'Registered'),
    },
    {
      label: 'Last seen',
      cell: ({ lastSeenAt }) => (lastSeenAt ? time(lastSeenAt) : none()),
      text: ({ lastSeenAt = '' }) => lastSeenAt,
    },
    { label: 'Registered', cell: ({ createdAt }) => time(createdAt), text: ({ createdAt }) => createdAt },
  ];
}
