/** The bank's page: the current view, and the bar above it. */

import { h, replace, toast } from '../lib/dom.js';
import { CHANNEL } from '../lib/handoff.js';
import { icon } from '../lib/icons.js';
import { endSession, readSession, readSite } from './api.js';
import { CallLog } from './call_log.js';
import { PhonePanel } from './phone_panel.js';
import { Steps } from './steps.js';
import { explain, failure } from './view.js';
import { signInView } from './views/sign_in.js';

/** @param {string} selector */
const find = (selector) => /** @type {HTMLElement} */ (document.querySelector(selector));
const main = find('main');
const user = find('.user');
const announcer = find('body > [role=status]');

const steps = new Steps(find('.steps'));
const log = new CallLog();
/** @type {import('./view.js').View | null} */
let current = null;
/** @type {PhonePanel | undefined} */
let panel;

/** @param {import('./view.js').View} view */
function show(view) {
  current?.leave?.();
  const isFirst = !current;
  current = view;
  replace(main, view.element);
  const heading = view.element.querySelector('h1');
  document.title = [heading?.textContent, 'Acme Bank'].filter(Boolean).join(' · ');
  // Someone using the phone keeps their focus there. On load, the page is read from the top.
  if (document.activeElement instanceof HTMLIFrameElement) announcer.textContent = heading?.textContent ?? '';
  else if (!isFirst) heading?.focus();
  window.scrollTo(0, 0);
}

async function start() {
  log.refresh();
  try {
    const [site, session] = await Promise.all([readSite(), readSession()]);
    // Made once: this runs again if the first view could not be shown.
    panel ??= new PhonePanel(find('.phone-side'), find('.phone-actions'), site.gateway);
    /** @type {import('./view.js').Bank} */
    const bank = { site, phone: panel, steps, transfers: [], show, home: (notice) => home(bank, notice) };
    await enter(bank, session);
    follow(bank);
  } catch (cause) {
    show(failure(cause, start));
  }
}

/**
 * What comes with the first view, and stays. Whatever of it fails, the view remains.
 * @param {import('./view.js').Bank} bank
 */
function follow(bank) {
  bank.phone.load();
  new BroadcastChannel(CHANNEL).addEventListener('message', ({ data }) => {
    if (data?.type === 'accounts') void findPhone(bank);
  });
  void showCallPanel(bank.site.gateway);
  // Preloads what follows the first view. If that fails, the import that needs it reports so.
  import('./views/account.js').catch(() => {});
}

/** @param {string} gateway the deployment's public URL */
async function showCallPanel(gateway) {
  const place = find('.call-panel');
  const loaded = await import('./call_panel.js').catch(() => null);
  if (loaded) loaded.showCalls(place, log, gateway);
  else replace(place, h('p.small.muted', 'The calls could not be loaded. Reload the page to see them.'));
}

/**
 * @param {import('./view.js').Bank} bank
 * @param {import('../lib/dom.js').Child} [notice]
 */
async function home(bank, notice) {
  try {
    await enter(bank, await readSession(), notice);
  } catch (cause) {
    show(failure(cause, () => home(bank, notice)));
  }
}

/**
 * @param {import('./view.js').Bank} bank
 * @param {import('./api.js').Session | null} session
 * @param {import('../lib/dom.js').Child} [notice]
 */
async function enter(bank, session, notice) {
  const view = session ? (await import('./views/account.js')).account(bank, session) : signInView(bank, notice);
  replace(user, session && signedIn(bank, session.user));
  steps.reset(session ? (bank.transfers.length ? 3 : 2) : 0);
  show(view);
  if (!session) void findPhone(bank);
}

/**
 * Marks the first step as done if this browser has a phone for the bank. The demo's page can look, because its phone is of the same origin.
 * @param {import('./view.js').Bank} bank
 */
async function findPhone({ site }) {
  // A browser without storage has no phone. If the import fails, the step is not marked.
  const accounts = await import('../phone/store.js').then(({ listAccounts }) => listAccounts()).catch(() => []);
  if (accounts.some((account) => account.relyingParty === site.name && !account.enrolment)) steps.reach(1);
}

/**
 * @param {import('./view.js').Bank} bank
 * @param {string} name
 */
function signedIn(bank, name) {
  const signOut = async () => {
    try {
      await endSession();
      bank.transfers.length = 0;
      await bank.home();
    } catch (cause) {
      toast(explain(cause), { tone: 'bad' });
    }
  };
  const button = { type: 'button', onclick: signOut };
  return [
    h('span.who', icon('user'), h('bdi.truncate', name)),
    h('button.button', button, icon('signOut'), h('span.wordy', 'Sign out')),
  ];
}

void start();
