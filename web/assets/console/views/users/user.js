/** One user: whether they are frozen, and every binding there was, with its device. */
import { copyable, h, replace } from '../../../lib/dom.js';
import { field } from '../../../lib/form.js';
import { shortId, time } from '../../../lib/format.js';
import { orNull } from '../../../lib/problem.js';
import { badge, FREEZERS } from '../../names.js';
import { button, facts, foreign } from '../../ui/elements.js';
import { change } from '../../ui/dialogs.js';
import { empty, eventually } from '../../ui/states.js';
import { deviceCard, readDevice } from './device.js';
import { documentsCard, readDocuments } from './documents.js';
import { promptsCard, readBudget } from './prompts.js';
import { sendTestPrompt } from './test_prompt.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {import('../../types.js').Binding} Binding */
/** @typedef {import('../../types.js').Freeze} Freeze */

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
    const [{ bindings = [], nextPageToken }, known] = await Promise.all([
      page.read('binding.v1.BindingService/ListBindings', { userIdentifier: user, pageSize: MOST }),
      orNull(page.read('binding.v1.UserService/GetUser', { userIdentifier: user })),
    ]);
    if (!bindings.length) return absence(page);
    const [budget, documents, ...devices] = await Promise.all([
      readBudget(page, user),
      readDocuments(page, user),
      ...bindings.map((/** @type {Binding} */ { deviceIdentifier }) => readDevice(page, deviceIdentifier)),
    ]);
    const reload = () => showUser(page, replace(place), user);
    return [
      userBar(page, user, known, reload),
      known?.freeze && freezeCard(known.freeze),
      promptsCard(page, user, budget, reload),
      documentsCard(page, documents, reload),
      devices.map((device, i) => deviceCard(page, device, bindings[i], reload)),
      nextPageToken && h('p.muted.small', `Only the newest ${MOST} bindings are shown.`),
    ];
  });
}

/** @param {Page} page */
function absence(page) {
  const text = 'Enter the identifier exactly as the backend uses it. Upper and lower case matter.';
  return empty({
    icon: 'user',
    title: 'Unknown user',
    text,
    action: h('a.button', { href: page.address('users') }, 'All users'),
  });
}

/**
 * @param {Page} page
 * @param {string} user
 * @param {{ freeze?: Freeze } | null} known null: nothing is left of them but what was
 * @param {() => Promise<void>} reload
 */
function userBar(page, user, known, reload) {
  const asked = h('a.button', { href: page.address('trusonafications', { user }) }, 'Trusonafications');
  const actions = known &&
    page.mayAct && [
      !known.freeze && button('Send test prompt', () => sendTestPrompt(page, user)),
      known.freeze
        ? button('Release', () => release(page, user, reload))
        : button('Freeze', () => freeze(page, user, reload)),
      button('Deactivate user', () => end(page, user, reload), { look: 'quiet danger' }),
    ];
  const state = known?.freeze && badge({ text: 'Frozen', tone: 'warn' });
  return h('div.spread', h('div.row', h('h2', foreign(user)), state), h('div.row', asked, actions));
}

/** @param {Freeze} freeze */
function freezeCard({ frozenAt, frozenBy, frozenByDevice, note }) {
  const device = frozenByDevice && [
    ': ',
    copyable(frozenByDevice, { label: 'device identifier', shown: shortId(frozenByDevice) }),
  ];
  return h(
    'section.card',
    { 'aria-label': 'Frozen' },
    facts([
      ['Frozen', time(frozenAt)],
      ['By', [FREEZERS[frozenBy] ?? frozenBy, device]],
      !!note && ['Note', foreign(note)],
    ]),
    h('p.muted.small', 'Until the user is released, nobody can prompt them and their devices cannot answer.'),
  );
}

/**
 * @param {Page} page
 * @param {string} user
 * @param {() => Promise<void>} reload
 */
function freeze(page, user, reload) {
  return change(
    {
      title: 'Freeze this user?',
      body: [
        h('p', foreign(user)),
        h(
          'p',
          'Requests in progress are canceled. Nobody can prompt this user and their devices cannot answer until you or the backend release them. Nothing is deleted.',
        ),
        field(
          'Note',
          h('input', { name: 'note', maxlength: 200, autocomplete: 'off' }),
          'The reason, shown to other operators and the backend. Optional.',
        ),
      ],
      submit: 'Freeze',
      act: (form) =>
        page.act('binding.v1.UserService/FreezeUser', { userIdentifier: user, note: String(form.get('note')) }),
    },
    'Frozen',
    reload,
  );
}

/**
 * @param {Page} page
 * @param {string} user
 * @param {() => Promise<void>} reload
 */
function release(page, user, reload) {
  return change(
    {
      title: 'Release this user?',
      body: [
        h('p', foreign(user)),
        h(
          'p',
          'The active devices below can answer again. First make sure that the user still has them, and deactivate the binding of a lost one.',
        ),
      ],
      submit: 'Release',
      act: () => page.act('binding.v1.UserService/ReleaseUser', { userIdentifier: user }),
    },
    'Released',
    reload,
  );
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
          'All bindings end and all devices are retired: their keys are revoked immediately and permanently. To return, the user sets up a phone again.',
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
