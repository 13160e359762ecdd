/** What is around every view: navigation, header, the operator's menu. */
import { h, toast } from '../lib/dom.js';
import { time } from '../lib/format.js';
import { icon, mark } from '../lib/icons.js';
import { Problem } from '../lib/problem.js';
import { endSession } from './api.js';
import { chooser } from './chooser.js';
import { health } from './metrics/health.js';
import { roleName } from './names.js';
import { address } from './router.js';
import { openSearch, showShortcuts } from './shortcuts.js';
import { button, foreign } from './ui/elements.js';
import { VIEWS } from './views.js';

const GROUPS = [
  { title: '', views: ['overview'] },
  {
    title: 'Relying party',
    views: ['trusonafications', 'users', 'endpoints', 'deliveries', 'credentials', 'settings'],
  },
  { title: 'Deployment', views: ['relying-parties', 'signing-keys', 'operators', 'audit'] },
];

/**
 * Makes the page around the views.
 * @param {import('./api.js').Session} session
 */
export function shell(session) {
  const main = h('main', { id: 'main', tabindex: -1 });
  const relyingParty = chooser();
  const links = new Map(GROUPS.flatMap(({ views }) => views).map((view) => [view, link(view)]));
  const sidebar = h(
    'aside.sidebar',
    { id: 'sidebar' },
    h('a.logo', { href: address('overview') }, mark(22), 'Nodkey'),
    h(
      'nav.stack',
      { 'aria-label': 'Console' },
      GROUPS.map((group) => section(group, links)),
    ),
    h(
      'p.muted.small',
      h('span.truncate', { title: session.public_url }, new URL(session.public_url).host),
      ` · ${session.version}`,
    ),
  );
  const opener = h(
    'button.button.quiet.icon-only.opener',
    {
      type: 'button',
      'aria-label': 'Menu',
      'aria-controls': 'sidebar',
      'aria-expanded': 'false',
      onclick: () => open(!isOpen()),
    },
    icon('menu'),
  );
  const search = h(
    'button.button.search-opener',
    { type: 'button', 'aria-label': 'Search', 'aria-keyshortcuts': '/', onclick: () => void openSearch() },
    icon('search'),
    h('span.grow', 'Search'),
    h('kbd', '/'),
  );
  const header = h('header.topbar', opener, relyingParty.element, search, operatorMenu(session));
  const element = h(
    'div.shell',
    h('a.button.skip', { href: '#main', onclick: skip }, 'Skip to content'),
    sidebar,
    h('div.backdrop', { onclick: () => open(false) }),
    header,
    main,
  );

  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && isOpen()) open(false);
  });

  function isOpen() {
    return element.classList.contains('open');
  }

  /** @param {boolean} wanted */
  function open(wanted) {
    if (wanted === isOpen()) return;
    element.classList.toggle('open', wanted);
    opener.ariaExpanded = String(wanted);
    main.inert = wanted;
    (wanted ? sidebar.querySelector('a') : opener)?.focus();
  }

  /** @param {Event} event */
  function skip(event) {
    event.preventDefault();
    main.focus();
  }

  /**
   * Marks where the operator is.
   * @param {string} view
   * @param {string} id of the chosen relying party
   */
  function locate(view, id) {
    open(false);
    relyingParty.choose(id);
    const marked = VIEWS[view]?.within ?? view;
    for (const [name, anchor] of links) {
      anchor.href = VIEWS[name].scoped ? address(name, { rp: id }) : address(name);
      anchor.ariaCurrent = name === marked ? 'page' : null;
    }
  }

  return { element, main, locate };
}

/** @param {string} view */
function link(view) {
  const { title, icon: drawn = 'info' } = VIEWS[view];
  return h('a', { href: address(view) }, icon(drawn), title, view === 'overview' && healthDot());
}

function healthDot() {
  const dot = h(
    'span.dot.bad',
    { hidden: true, title: 'Needs attention' },
    h('span.visually-hidden', ': needs attention'),
  );
  health.addEventListener('change', () => {
    dot.hidden = health.isWell;
  });
  return dot;
}

/**
 * @param {{ title: string, views: string[] }} group
 * @param {Map<string, HTMLAnchorElement>} links
 */
function section({ title, views }, links) {
  const items = views.map((view) => h('li', links.get(view)));
  return h('div', title && h('h2.eyebrow', title), h('ul.nav', items));
}

/** @param {import('./api.js').Session} session */
function operatorMenu({ operator, expires_at }) {
  const initials = operator.name.split(/\s+/, 2).map(([first]) => first);
  const opener = h(
    'button.avatar',
    { type: 'button', popovertarget: 'operator', 'aria-label': `${operator.name}, ${operator.role}` },
    initials,
  );
  const shortcuts = button('Keyboard shortcuts', () => void showShortcuts(), { look: 'block', icon: 'info' });
  const leave = button('Sign out', signOut, { look: 'block', icon: 'signOut' });
  const panel = h(
    'div.menu.operator-panel',
    { id: 'operator', popover: true },
    h('p', h('strong', foreign(operator.name)), h('br'), h('span.muted', roleName(operator.role))),
    h('p.small.muted', 'Your session expires ', time(expires_at)),
    h('a.button.block', { href: address('sessions') }, icon('lock'), 'Your sessions'),
    shortcuts,
    leave,
  );
  shortcuts.addEventListener('click', () => panel.hidePopover(), { capture: true });
  return h('div.operator', opener, panel);
}

async function signOut() {
  try {
    await endSession();
    location.assign('/console');
  } catch (cause) {
    if (cause instanceof Problem) toast(`You are still signed in. ${cause.message}`, { tone: 'bad' });
    else throw cause;
  }
}
