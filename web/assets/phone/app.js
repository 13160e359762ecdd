/** The phone's page: which screen is shown, and what comes in from other pages and by its address. */

import { replace } from '../lib/dom.js';
import { CHANNEL } from '../lib/handoff.js';
import { Accounts } from './accounts.js';
import { addAccount } from './views/add.js';
import { home } from './views/home.js';
import { invited } from './views/invited.js';
import { pairing } from './views/pairing.js';
import { question } from './views/question.js';
import { touch } from './views/touch.js';
import { noKeys, noStorage } from './views/unfit.js';

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

const accounts = new Accounts((entry) => touch(app, entry));
const channel = new BroadcastChannel(CHANNEL);

/** @type {import('./screen.js').App} */
const app = { accounts, isDemo: location.pathname.startsWith('/demo/'), show, next, scanned };

/** @param {import('./screen.js').Screen} screen */
function show(screen) {
  current?.leave?.();
  current = screen;
  replace(main, screen.element);
  main.scrollTo(0, 0);
  const heading = screen.element.querySelector('h1');
  document.title = [heading?.textContent, title].filter(Boolean).join(' · ');
  // In a frame, the focus is the page's around it until the person comes here.
  if (document.hasFocus()) heading?.focus();
  else news.textContent = heading?.textContent ?? '';
}

function next() {
  const [first] = accounts.questions;
  if (first) return show(question(app, first));
  if (!accounts.all.length) return show(addAccount(app));
  if (scannedEarly) return scanned(scannedEarly);
  show(home(app));
}

/** @param {string} text */
function scanned(text) {
  const isReady = accounts.all.length > 0;
  scannedEarly = isReady ? '' : text;
  show(isReady ? pairing(app, text) : addAccount(app));
}

/** What the address asks for, once: it is taken out of the address, and of the history with it. */
function followAddress() {
  const wish = new URLSearchParams(location.hash.slice(1));
  if (location.hash) history.replaceState(null, '', location.pathname);
  const [path, payload] = [wish.get('enrol'), wish.get('scan')];
  if (path) show(invited(app, path));
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
  if (!globalThis.crypto?.subtle) return show(noKeys());
  try {
    await accounts.load();
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    return show(noStorage());
  }
  accounts.addEventListener('change', () => {
    current?.update?.();
    if (current?.isIdle && accounts.questions.length) next();
  });
  accounts.addEventListener('stored', () => channel.postMessage({ type: 'accounts' }));
  channel.addEventListener('message', onMessage);
  window.addEventListener('hashchange', followAddress);
  if (!followAddress()) next();
}

void start();
