/** The operator console. */
import { h, replace } from '../lib/dom.js';
import { refreshTimes } from '../lib/format.js';
import { Problem } from '../lib/problem.js';
import { getSession, session as sessions } from './api.js';
import { watchHealth } from './metrics/health.js';
import { Page } from './page.js';
import { allRelyingParties, chooseRelyingParty, loadRelyingParties, relyingPartyName } from './relying_parties.js';
import { address, currentView, startRouter } from './router.js';
import { shell } from './shell.js';
import { listenForShortcuts } from './shortcuts.js';
import { heading } from './ui/elements.js';
import { empty, failure } from './ui/states.js';
import { VIEWS } from './views.js';

/** How often times relative to now are brought up to date, in milliseconds. */
const TICK = 15_000;

void start();

async function start() {
  // Begun at once, since this page is for who has a session; should either fail, whoever waits for it says so.
  VIEWS[currentView()]?.load().catch(() => {});
  const relyingParties = loadRelyingParties();
  relyingParties.catch(() => {});
  try {
    const session = await getSession();
    if (!session) return await leave('');
    await relyingParties;
    await enter(session);
  } catch (cause) {
    replace(document.body, h('main.sign-in', h('h1.visually-hidden', 'Nodkey console'), failure(cause, start)));
  }
}

/** @param {string} reason */
async function leave(reason) {
  const { showSignIn } = await import('./sign_in.js');
  showSignIn(reason, () => location.reload());
}

/** @param {import('./api.js').Session} session */
async function enter(session) {
  const frame = shell(session);
  replace(document.body, frame.element);
  let visit = new AbortController();
  let over = false;
  const watch = new AbortController();

  async function arrive() {
    if (over) return;
    visit.abort();
    visit = new AbortController();
    await visitView(frame, session, visit.signal);
  }

  sessions.addEventListener('over', () => {
    if (over) return;
    over = true;
    visit.abort();
    watch.abort();
    void leave('Your session has ended. Sign in again.');
  });
  setInterval(refreshTimes, TICK);
  listenForShortcuts();
  void watchHealth(watch.signal);
  startRouter(() => void arrive().then(() => frame.main.querySelector('h1')?.focus()));
  await arrive();
}

/**
 * Shows the view of the present address.
 * @param {ReturnType<typeof shell>} frame
 * @param {import('./api.js').Session} session
 * @param {AbortSignal} signal
 */
async function visitView(frame, session, signal) {
  const { main, locate } = frame;
  const name = currentView();
  const view = VIEWS[name];
  const query = Object.fromEntries(new URLSearchParams(location.search));
  const relyingParty = chooseRelyingParty(view?.scoped ? query.rp : '');
  if (view?.scoped && !query.rp && relyingParty) {
    history.replaceState(history.state, '', address(name, { rp: relyingParty, ...query }));
  }
  document.title = [view?.title ?? 'Not found', view?.scoped && relyingPartyName(relyingParty), 'Nodkey']
    .filter(Boolean)
    .join(' · ');
  locate(name, relyingParty);

  if (!view) return void replace(main, heading('Not found'), notFound());
  if (view.scoped && !allRelyingParties().length) return void replace(main, heading(view.title), noRelyingParty());
  try {
    const { show } = await view.load();
    if (signal.aborted) return;
    replace(main);
    scrollTo(0, 0);
    void show(new Page({ main, view: name, session, relyingParty: view.scoped ? relyingParty : '', signal }));
  } catch (cause) {
    // Of a module that could not be fetched a browser tells nothing but this.
    const problem = new Problem(0, 'UNREACHABLE', 'This page could not be loaded.');
    if (!(cause instanceof TypeError)) throw cause;
    replace(
      main,
      failure(problem, () => void visitView(frame, session, signal)),
    );
  }
}

function notFound() {
  const text = 'The address is wrong or belongs to another version of the console.';
  return empty({
    icon: 'search',
    title: 'Page not found',
    text,
    action: h('a.button', { href: address('overview') }, 'Overview'),
  });
}

function noRelyingParty() {
  const text = 'A relying party is an organization that sends requests to its users. Everything else belongs to one.';
  const action = h('a.button.primary', { href: address('relying-parties') }, 'Create one');
  return empty({ icon: 'building', title: 'No relying parties yet', text, action });
}
