/**
 * The phone's service worker: it keeps the app shell for when there is no network, and wakes the person when a push arrives.
 *
 * It is registered once for the page, and once more for each account with notifications: a registration has one push subscription, and each
 * relying party has a key of its own. It caches the app shell only, never answers of an API, and knows no keys.
 *
 * The server puts `self.SHELL` before this text: the version of the app shell, and the paths of its files.
 */

/** @type {any} */
const worker = self;
/** @type {{version: string, files: string[]}} */
const { version, files } = worker.SHELL;

/** Where registrations of accounts are, below the phone's path. */
const PUSH = '/push/';
const [PHONE, ACCOUNT] = new URL(worker.registration.scope).pathname.split(PUSH);
const PREFIX = `nodkey-phone ${PHONE} `;
const CACHE = PREFIX + version;

worker.addEventListener('install', (/** @type {any} */ event) => {
  worker.skipWaiting();
  if (!ACCOUNT) event.waitUntil(precache());
});

worker.addEventListener('activate', (/** @type {any} */ event) => {
  if (!ACCOUNT) event.waitUntil(deleteOldCaches().then(() => worker.clients.claim()));
});

worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  const isPage = mode === 'navigate' && pathname === PHONE;
  const isShell = method === 'GET' && origin === location.origin && (isPage || files.includes(pathname));
  // Everything else, calls of the API among them, goes to the network as if there were no service worker.
  if (isShell) event.respondWith(fetch(event.request).catch(() => cached(pathname)));
});

worker.addEventListener('push', (/** @type {any} */ event) => {
  // A push says nothing about the request, and neither does this: the page fetches it once the person opens it.
  const shown = worker.registration.showNotification('A request is waiting', {
    body: 'Open the phone to see it.',
    tag: 'nodkey',
    icon: '/assets/phone/app/icon-192.png',
  });
  event.waitUntil(shown);
});

worker.addEventListener('notificationclick', (/** @type {any} */ event) => {
  event.notification.close();
  event.waitUntil(openPhone());
});

async function precache() {
  const cache = await caches.open(CACHE);
  await cache.addAll([PHONE, ...files]);
}

async function deleteOldCaches() {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

/** @param {string} pathname */
async function cached(pathname) {
  const cache = await caches.open(CACHE);
  return (await cache.match(pathname)) ?? Response.error();
}

/** Brings the phone's page to the front, or opens it. */
async function openPhone() {
  const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const open = pages.find((/** @type {any} */ page) => new URL(page.url).pathname === PHONE);
  await (open ? open.focus() : worker.clients.openWindow(PHONE));
}
