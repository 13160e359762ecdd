/** The phone's page: which screen is shown, and what arrives from other pages and in the address. */

import { h, replace } from '../lib/dom.js';
import { CHANNEL } from '../lib/handoff.js';
import { Accounts } from './accounts.js';
import { isShown } from './pending.js';
import { keepShell } from './registrations.js';
import { button, message } from './screen.js';
import { readTransferRequest } from './transfer.js';
import { addAccount } from './views/add.js';
import { home } from './views/home.js';

/** @typedef {typeof import('./views/later.js')} Later */

/** How long a hidden page leaves a code to a visible one, in milliseconds. */
const DEFERENCE = 150;

const main = /** @type {HTMLElement} */ (document.querySelector('main'));
const announcer = /** @type {HTMLElement} */ (document.querySelector('body > [role=status]'));
const title = document.title;
/** @type {import('./screen.js').Screen | null} */
let current = null;
/** Codes that another page of this phone has taken. */
const taken = new Set();
/** A code that was scanned before there was an account to pair it with. */
let scannedEarly = '';

/** @type {Promise<Later> | undefined} */
let fetched;
/** Counts screen changes: only the latest is shown, even if an earlier one finishes loading after it. */
let turn = 0;

const accounts = new Accounts(async (entry, reason) => (await screens()).touch(app, entry, reason));
const channel = new BroadcastChannel(CHANNEL);

/** @type {import('./screen.js').App} */
const app = { accounts, isDemo: location.pathname.startsWith('/demo/'), show, open, next, scanned };

/** @param {import('./screen.js').Screen} screen */
function show(screen) {
  turn += 1;
  current?.leave?.();
  current = screen;
  replace(main, screen.element);
  main.scrollTo(0, 0);
  const heading = screen.element.querySelector('h1');
  document.title = [heading?.textContent, title].filter(Boolean).join(' · ');
  // In a frame, focus stays with the surrounding page until the person enters the frame.
  if (document.hasFocus()) heading?.focus();
  else announcer.textContent = heading?.textContent ?? '';
  // Requests that arrived while the previous screen was busy.
  if (screen.isIdle && accounts.prompts.length) next();
}

/** The screens other than the first, loaded in the background. */
function screens() {
  fetched ??= import('./views/later.js');
  return fetched;
}

/** @param {(later: Later) => import('./screen.js').Screen} choose */
async function open(choose) {
  turn += 1;
  const mine = turn;
  const later = await screens().catch(() => null);
  if (mine === turn) show(later ? choose(later) : incomplete());
}

function incomplete() {
  return message({
    icon: 'alert',
    tone: 'bad',
    title: 'The page did not load completely',
    body: h('p', 'Part of it could not be fetched. No answer was sent.'),
    actions: button('primary large', 'Reload', () => location.reload()),
  });
}

function next() {
  const [first] = accounts.prompts;
  if (first && !isShown(first.pending.challenge)) return void open(({ unprompted }) => unprompted(app, first));
  if (first) return void open(({ prompt }) => prompt(app, first));
  if (!accounts.all.length) return show(addAccount(app));
  if (scannedEarly) return scanned(scannedEarly);
  show(home(app));
}

/** @param {string} text */
function scanned(text) {
  const isReady = accounts.all.length > 0;
  scannedEarly = isReady ? '' : text;
  if (isReady && readTransferRequest(text)) return void open(({ handOn }) => handOn(app, text));
  if (isReady) return void open(({ pairing }) => pairing(app, text));
  // A set-up that has begun keeps what was entered.
  if (!current?.isSetup) show(addAccount(app));
  current?.codeWaits?.();
}

/** Follows the fragment of the address once, and removes it from the address and the history. */
function followAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (location.hash) history.replaceState(null, '', location.pathname);
  const [path, payload] = [fragment.get('enrol'), fragment.get('scan')];
  if (path) void open(({ invited }) => invited(app, path));
  else if (payload) scanned(payload);
  return Boolean(path || payload);
}

/** @param {MessageEvent} event */
async function onMessage({ data }) {
  if (data?.type === 'accounts') return accounts.load();
  if (data?.type === 'answers') return accounts.loadAnswers();
  if (data?.type === 'taken') return void taken.add(data.payload);
  if (data?.type !== 'scan' || typeof data.payload !== 'string') return;
  if (document.hidden) await new Promise((resolve) => setTimeout(resolve, DEFERENCE));
  // A code must not interrupt an answer. The page that offers it opens another phone.
  if (taken.has(data.payload) || accounts.all.some((entry) => entry.answering)) return;
  channel.postMessage({ type: 'taken', payload: data.payload });
  scanned(data.payload);
}

/** Says so while there is no network: the app shell works without. */
function watchConnection() {
  const notice = /** @type {HTMLElement} */ (document.querySelector('.offline'));
  const update = () => (notice.hidden = navigator.onLine);
  window.addEventListener('online', update);
  window.addEventListener('offline', update);
  update();
}

async function start() {
  if (!globalThis.crypto?.subtle) return open(({ noKeys }) => noKeys());
  try {
    await accounts.load();
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    return open(({ noStorage }) => noStorage());
  }
  accounts.addEventListener('change', () => {
    current?.update?.();
    if (current?.isIdle && accounts.prompts.length) next();
  });
  accounts.addEventListener('stored', () => channel.postMessage({ type: 'accounts' }));
  accounts.addEventListener('answered', () => channel.postMessage({ type: 'answers' }));
  channel.addEventListener('message', onMessage);
  window.addEventListener('hashchange', followAddress);
  if (!followAddress()) next();
  watchConnection();
  screens().catch(() => {});
  void keepShell();
}

void start();
