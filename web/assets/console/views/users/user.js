/** One user: every binding there was, with its device. */
import { h, replace } from '../../../lib/dom.js';
import { button, foreign } from '../../ui/elements.js';
import { change } from '../../ui/dialogs.js';
import { empty, eventually } from '../../ui/states.js';
import { deviceCard, readDevice } from './device.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {import('../../types.js').Binding} Binding */

/** So many bindings are shown, each with its device; the newest are of interest. */
const MOST = 20;

/**
 * Shows the user at a place.
 * @param {Page} page
 * @param {Element} place
 * @param {string} user
 * @returns {Promise<void>}
 */
export function showUser(page, place, user) {
  return eventually(place, page.signal, async () => {
    const { bindings = [], nextPageToken } = await page.read('binding.v1.BindingService/ListBindings', {
      userIdentifier: user,
      pageSize: MOST,
    });
    if (!bindings.length) return absence(page);
    const devices = await Promise.all(
      bindings.map((/** @type {Binding} */ { deviceIdentifier }) => readDevice(page, deviceIdentifier)),
    );
    const reload = () => showUser(page, replace(place), user);
    return [
      userBar(page, user, bindings, reload),
      devices.map((device, i) => deviceCard(page, device, bindings[i], reload)),
      nextPageToken && h('p.muted.small', `There are older bindings: the newest ${MOST} are shown.`),
    ];
  });
}

/** @param {Page} page */
function absence(page) {
  const text = 'The identifier has to be exactly what the backend uses, upper and lower case included.';
  return empty({
    icon: 'user',
    title: 'No device was ever bound to this user',
    text,
    action: h('a.button', { href: page.address('users') }, 'Newest devices'),
  });
}

/**
 * @param {Page} page
 * @param {string} user
 * @param {Binding[]} bindings
 * @param {() => Promise<void>} reload
 */
function userBar(page, user, bindings, reload) {
  const alive = bindings.some(({ state }) => state !== 'BINDING_STATE_DEACTIVATED');
  const deactivate = button('Deactivate user', () => end(page, user, reload), { look: 'quiet danger' });
  const asked = h('a.button', { href: page.address('trusonafications', { user }) }, 'Trusonafications');
  return h('div.spread', h('h2', foreign(user)), h('div.row', asked, page.mayAct && alive && deactivate));
}

/**
 * @param {Page} page
 * @param {string} user
 * @param {() => Promise<void>} reload
 */
function end(page, user, reload) {
  return change(
    {
      title: 'Deactivate this user?',
      body: [
        h('p', foreign(user)),
        h(
          'p',
          'Every binding ends and every device is retired: its keys are dead at once, for good. To come back, the user sets a phone up anew.',
        ),
      ],
      submit: 'Deactivate',
      danger: true,
      act: () => page.act('binding.v1.UserService/DeactivateUser', { userIdentifier: user }),
    },
    'Deactivated',
    reload,
  );
}
