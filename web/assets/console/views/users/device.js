/** One device: what it is, its keys, to whom it is bound, who wakes it. */
import { copyable, h, replace } from '../../../lib/dom.js';
import { shortId, time } from '../../../lib/format.js';
import { icon } from '../../../lib/icons.js';
import { orNull } from '../../../lib/problem.js';
import { badge, BINDING_STATES, PLATFORMS, PRESENCE_KINDS, PUSH_PROVIDERS, stateBadge } from '../../names.js';
import { button, facts, foreign } from '../../ui/elements.js';
import { change } from '../../ui/dialogs.js';
import { eventually } from '../../ui/states.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {import('../../types.js').Binding} Binding */
/** @typedef {import('../../types.js').Device} Device */
/** @typedef {Device & { push: { provider: string, updatedAt: string } | null }} WholeDevice */

/**
 * Shows the device at a place.
 * @param {Page} page
 * @param {Element} place
 * @param {string} id
 * @returns {Promise<void>}
 */
export function showDevice(page, place, id) {
  return eventually(place, page.signal, async () => {
    const [device, binding] = await Promise.all([
      readDevice(page, id),
      orNull(page.read('binding.v1.BindingService/GetDeviceBinding', { deviceIdentifier: id })),
    ]);
    return deviceCard(page, device, binding, () => showDevice(page, replace(place), id));
  });
}

/**
 * Reads a device, and who wakes it.
 * @param {Page} page
 * @param {string} deviceId
 * @returns {Promise<WholeDevice>}
 */
export async function readDevice(page, deviceId) {
  const [device, push] = await Promise.all([
    page.read('registry.v1.DeviceService/GetDevice', { deviceId }),
    orNull(page.read('notification.v1.PushRegistrationService/GetPushRegistration', { deviceId })),
  ]);
  return { ...device, push };
}

/**
 * Shows a device, with its binding to a user if there is one.
 * @param {Page} page
 * @param {WholeDevice} device
 * @param {Binding | null} binding
 * @param {() => Promise<void>} reload
 */
export function deviceCard(page, device, binding, reload) {
  const { id, name, platform = '', appVersion, retired, createdAt, lastSeenAt, push } = device;
  const software = [PLATFORMS[platform], appVersion && `app ${appVersion}`].filter(Boolean).join(', ');
  return h(
    'section.card',
    h(
      'header',
      h('div.row', icon('phone'), h('h2', name ? foreign(name) : 'Unnamed device'), stateOf(device, binding)),
      h('div.row', actions(page, device, binding, reload)),
    ),
    h(
      'div.columns',
      facts([
        ['Identifier', copyable(id, { label: 'device identifier' })],
        !!software && ['Software', foreign(software)],
        ['Last seen', lastSeenAt ? time(lastSeenAt) : 'not since it registered'],
        ['Registered', time(createdAt)],
        [
          'Push',
          push
            ? [PUSH_PROVIDERS[push.provider] ?? push.provider, ', since ', time(push.updatedAt)]
            : 'none: the app has to be open',
        ],
      ]),
      facts([
        ['Keys', keys(device)],
        ['Key statement', certified(device)],
        !!binding && [
          'User',
          h('a', { href: page.address('users', { user: binding.userIdentifier }) }, foreign(binding.userIdentifier)),
        ],
        !!binding?.id && ['Binding', copyable(binding.id, { label: 'binding id' })],
        !!binding?.activatedAt && ['Activated', time(binding.activatedAt)],
        !!binding?.vouchedBy && [
          'Added by',
          copyable(binding.vouchedBy, { label: 'device that added it', shown: shortId(binding.vouchedBy) }),
        ],
        !!binding?.deactivatedAt && ['Deactivated', time(binding.deactivatedAt)],
        !binding && !retired && ['User', 'not bound to a user'],
      ]),
    ),
  );
}

/**
 * @param {Device} device
 * @param {Binding | null} binding
 */
function stateOf({ retired }, binding) {
  return [retired && badge({ text: 'Retired', tone: 'bad' }), binding && stateBadge(BINDING_STATES, binding.state)];
}

/** @param {Device} device */
function keys({ deviceKey, presenceKeys = [] }) {
  return h(
    'ul.stack.tight',
    h('li', 'Device key ', h('span.muted', curve(deviceKey))),
    presenceKeys.map(({ kind, jwk, counts, since }) =>
      h(
        'li',
        PRESENCE_KINDS[kind] ?? kind,
        ' ',
        h('span.muted', curve(jwk), since && [', since ', time(since)]),
        counts === false && [' ', badge({ text: 'Not certified: level 1', tone: 'warn' })],
      ),
    ),
    !presenceKeys.length && h('li.muted', 'No presence key: the phone only (level 1)'),
  );
}

/**
 * Whether the device itself has signed which presence keys it has.
 * @param {Device} device
 */
function certified({ keyStatement }) {
  return keyStatement
    ? 'signed by the device key: it certifies the presence keys'
    : 'none: only this deployment states which keys the device has';
}

/** @param {string} jwk */
function curve(jwk) {
  return JSON.parse(jwk).crv;
}

/**
 * @param {Page} page
 * @param {Device} device
 * @param {Binding | null} binding
 * @param {() => Promise<void>} reload
 */
function actions(page, { id, retired, presenceKeys = [] }, binding, reload) {
  const asked = h('a.button.small', { href: page.address('trusonafications', { device: id }) }, 'Trusonafications');
  if (!page.mayAct) return asked;
  const waiting = binding?.state === 'BINDING_STATE_INACTIVE';
  const bound = binding && binding.state !== 'BINDING_STATE_DEACTIVATED';
  return [
    asked,
    waiting && button('Activate', () => activate(page, binding, reload), { look: 'small' }),
    !retired &&
      presenceKeys.some(({ counts }) => counts === false) &&
      button('Approve keys', () => approve(page, id, presenceKeys, reload), { look: 'small' }),
    bound && button('Deactivate binding', () => unbind(page, binding, reload), { look: 'small quiet danger' }),
    !retired && button('Retire device', () => retire(page, id, reload), { look: 'small quiet danger' }),
  ];
}

/**
 * @param {Page} page
 * @param {Binding} binding
 * @param {() => Promise<void>} reload
 */
function activate(page, { id, userIdentifier }, reload) {
  return change(
    {
      title: 'Activate this binding?',
      body: [
        h('p', foreign(userIdentifier)),
        h(
          'p',
          'From now on this device can answer for this user. Usually the backend activates a binding, after it has identified the user.',
        ),
      ],
      submit: 'Activate',
      act: () => page.act('binding.v1.BindingService/ActivateBinding', { id }),
    },
    'Activated',
    reload,
  );
}

/**
 * @param {Page} page
 * @param {string} deviceId
 * @param {NonNullable<Device['presenceKeys']>} presenceKeys
 * @param {() => Promise<void>} reload
 */
function approve(page, deviceId, presenceKeys, reload) {
  const thumbprints = presenceKeys.filter(({ counts }) => counts === false).map(({ thumbprint }) => thumbprint);
  return change(
    {
      title: 'Approve these keys?',
      body: [
        h(
          'ul.stack.tight',
          thumbprints.map((thumbprint) => h('li', h('code', thumbprint))),
        ),
        h(
          'p',
          'These keys were added after the device registered, and no certified key signed them. First contact the user in a way that does not involve this phone: from now on these keys prove the user’s presence.',
        ),
      ],
      submit: 'Approve',
      act: () => page.act('registry.v1.DeviceService/ApproveDeviceKeys', { deviceId, thumbprints }),
    },
    'Approved',
    reload,
  );
}

/**
 * @param {Page} page
 * @param {Binding} binding
 * @param {() => Promise<void>} reload
 */
function unbind(page, { id, userIdentifier }, reload) {
  return change(
    {
      title: 'Deactivate this binding?',
      body: [
        h('p', foreign(userIdentifier)),
        h(
          'p',
          'The device can no longer answer for this user. This cannot be undone. The device stays registered and can be bound again.',
        ),
      ],
      submit: 'Deactivate',
      danger: true,
      act: () => page.act('binding.v1.BindingService/DeactivateBinding', { id }),
    },
    'Deactivated',
    reload,
  );
}

/**
 * @param {Page} page
 * @param {string} deviceId
 * @param {() => Promise<void>} reload
 */
function retire(page, deviceId, reload) {
  return change(
    {
      title: 'Retire this device?',
      body: h(
        'p',
        'Its keys are revoked immediately and permanently. Do this for a lost phone. To return, the user sets up a phone again.',
      ),
      submit: 'Retire',
      danger: true,
      act: () => page.act('registry.v1.DeviceService/RetireDevice', { deviceId }),
    },
    'Retired',
    reload,
  );
}
