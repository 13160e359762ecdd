/** The phone's page: which screen is shown, and what comes in from other pages and by its address. */

import { h, replace } from '../lib/dom.js';
import { CHANNEL } from '../lib/handoff.js';
import { Accounts } from './accounts.js';
import { isShown } from './pending.js';
import { button, message } from './screen.js';
import { readTransferRequest } from './transfer.js';
import { addAccount } from './views/add.js';
import { home } from './views/home.js';

/** @typedef {typeof import('./views/later.js')} Later */

/** How long a page that is not seen leaves a code to one that is, in milliseconds. */
const DEFERENCE = 150;

const main = /** @type {HTMLElement} */ (document.querySelector('main'));
const news = /** @type {HTMLElement} */ (document.querySelector('body > [role=status]'));
const title = document.title;
/** @type {import('./screen.js').Screen | null} */
let current = null;
/** Codes that another page of this phone took. */
const taken = new Set();
/** What was scanned before there was an account to pair it with. */
let scannedEarly = '';

/** @type {Promise<Later> | undefined} */
let fetched;
/** Counts what was to be shown: the last counts, whatever had to be fetched for one before. */
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
  // In a frame, the focus is the page's around it until the person comes here.
  if (document.hasFocus()) heading?.focus();
  else news.textContent = heading?.textContent ?? '';
  // What came while the screen before was busy.
  if (screen.isIdle && accounts.questions.length) next();
}

/** The screens that are not the first one: fetched while that is looked at. */
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
    title: 'This page is not complete',
    body: h('p', 'A part of it could not be fetched. Nothing was answered.'),
    actions: button('primary large', 'Load it again', () => location.reload()),
  });
}

function next() {
  const [first] = accounts.questions;
  if (first && !isShown(first.pending.challenge)) return void open(({ unprompted }) => unprompted(app, first));
  if (first) return void open(({ question }) => question(app, first));
  if (!accounts.all.length) return show(addAccount(app));
  if (scannedEarly) return scanned(scannedEarly);
  show(home(app));
}

/** @param {string} text */
function scanned(text) {
  const isReady = accounts.all.length > 0;
  scannedEarly = isReady ? '' : text;
  if (isReady && readTransferRequest(text)) void open(({ handOn }) => handOn(app, text));
  else if (isReady) void open(({ pairing }) => pairing(app, text));
  else show(addAccount(app));
}

/** What the address asks for, once: it is taken out of the address, and of the history with it. */
function followAddress() {
  const wish = new URLSearchParams(location.hash.slice(1));
  if (location.hash) history.replaceState(null, '', location.pathname);
  const [path, payload] = [wish.get('enrol'), wish.get('scan')];
  if (path) void open(({ invited }) => invited(app, path));
  else if (payload) scanned(payload);
  return Boolean(path || payload);
}

/** @param {MessageEvent} event */
async function onMessage({ data }) {
  if (data?.type === 'accounts') return accounts.load();
  if (data?.type === 'taken') return void taken.add(data.payload);
  if (data?.type !== 'scan' || typeof data.payload !== 'string') return;
  if (document.hidden) await new Promise((resolve) => setTimeout(resolve, DEFERENCE));
  // A code must not interrupt an answer; the page that offers it opens another phone.
  if (taken.has(data.payload) || accounts.all.some((entry) => entry.answering)) return;
  channel.postMessage({ type: 'taken', payload: data.payload });
  scanned(data.payload);
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
    if (current?.isIdle && accounts.questions.length) next();
  });
  accounts.addEventListener('stored', () => channel.postMessage({ type: 'accounts' }));
  channel.addEventListener('message', onMessage);
  window.addEventListener('hashchange', followAddress);
  if (!followAddress()) next();
  screens().catch(() => {});
}

void start();
