/** One trusonafication: what was asked, what happened, and the proof. */
import { copyable, h, replace, toast } from '../../lib/dom.js';
import { ask } from '../../lib/dialog.js';
import { exactly, time } from '../../lib/format.js';
import { levelText, NUMBER_MATCHES, stateBadge, STATUSES } from '../names.js';
import { button, codeBlock, facts, foreign, heading, identifier, identifierLink, showHeading } from '../ui/elements.js';
import { eventually } from '../ui/states.js';
import { evidenceCard } from './trusonafication/evidence.js';
import { timelineCard } from './trusonafication/timeline.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../types.js').Trusonafication} Trusonafication */

const SERVICE = 'trusonafication.v1.TrusonaficationService';

/**
 * Shows the view.
 * @param {Page} page
 */
export async function show(page) {
  const id = page.query.get('id') ?? '';
  const back = { href: page.address('trusonafications'), text: 'Trusonafications' };
  const top = h('div', heading('Trusonafication', { back }));
  const place = h('div');
  replace(page.main, top, place);
  await eventually(place, page.signal, async () => {
    const trusonafication = await page.read(`${SERVICE}/GetTrusonafication`, { id });
    if (trusonafication.status === 'STATUS_IN_PROGRESS') void follow(id);
    return content(trusonafication);
  });

  /** @param {Trusonafication} trusonafication */
  function content(trusonafication) {
    const { action, status, resource } = trusonafication;
    const cancel =
      page.mayAct && status === 'STATUS_IN_PROGRESS' && button('Cancel', () => withdraw(id), { icon: 'ban' });
    showHeading(top, foreign(action), {
      back,
      state: stateBadge(STATUSES, status),
      actions: cancel,
      lead: foreign(resource),
    });
    return h(
      'div.detail',
      h(
        'div.stack.wide',
        timelineCard(page, trusonafication),
        trusonafication.result && evidenceCard(page, trusonafication),
      ),
      h('div.stack.wide', questionCard(page, trusonafication), customFieldsCard(trusonafication)),
    );
  }

  /** @param {string} id */
  async function follow(id) {
    for await (const changed of page.follow(`${SERVICE}/WatchTrusonafication`, { id })) {
      if (changed.status === 'STATUS_IN_PROGRESS') continue;
      replace(place, content(changed));
      return;
    }
  }

  /** @param {string} id */
  async function withdraw(id) {
    const done = await ask({
      title: 'Cancel this trusonafication?',
      body: h('p', 'The phone no longer shows it, and the backend is notified that it was canceled.'),
      submit: 'Cancel trusonafication',
      danger: true,
      act: () => page.act(`${SERVICE}/CancelTrusonafication`, { id }),
    });
    if (done) toast('Canceled');
  }
}

/**
 * @param {Page} page
 * @param {Trusonafication} asked
 */
function questionCard(page, asked) {
  const { userIdentifier: user, deviceIdentifier: device, requestContext: from } = asked;
  const origin = [from?.browser, from?.place, from?.address].filter(Boolean).join(', ');
  return h(
    'section.card',
    h('header', h('h2', 'Request')),
    facts([
      ['Id', copyable(asked.id, { label: 'id' })],
      ['Action', foreign(asked.action)],
      ['Resource', foreign(asked.resource)],
      !!user && ['User', h('a', { href: page.address('users', { user }) }, foreign(user))],
      !!device && ['Device', identifierLink(device, 'device identifier', page.address('users', { device }))],
      !!asked.trucodeId && ['Secure QR code', identifier(asked.trucodeId, 'code id')],
      !!origin && ['Requested from', foreign(origin)],
      !!asked.context && ['Context', foreign(asked.context)],
      ['Required level', levelText(asked.desiredLevel)],
      ['The phone', demands(asked)],
      !!asked.numberMatch && ['Number matching', NUMBER_MATCHES[asked.numberMatch] ?? asked.numberMatch],
      ['Created', exactly(new Date(asked.createdAt))],
      ['Expires', [exactly(new Date(asked.expiresAt)), ' (', time(asked.expiresAt), ')']],
      !!asked.callbackUrl && ['Callback', h('code', asked.callbackUrl)],
    ]),
  );
}

/** @param {Trusonafication} asked */
function demands({ prompt, userPresence, showIdentityDocument }) {
  const demanded = [
    prompt && 'prompts the user',
    userPresence && 'proves presence',
    showIdentityDocument && 'proves the identity document',
  ];
  return demanded.filter(Boolean).join(', ') || 'answers without the user';
}

/** @param {Trusonafication} asked */
function customFieldsCard({ customFieldsJson: json }) {
  // The text is what the backend gave, to the letter: taking it apart would change how numbers are spelled.
  return json ? h('section.card', h('header', h('h2', 'Custom fields')), codeBlock('Custom fields', json)) : null;
}
