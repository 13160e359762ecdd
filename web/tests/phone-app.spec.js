/** The browser phone as an installed app: its manifest, its app shell without a network, and notifications. */

import { createECDH, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { HANDHELD, account, ask, deviceOf, heading, openPhone } from './support/acme.js';
import { start } from './support/server.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */

test.use({ viewport: HANDHELD, serviceWorkers: 'allow' });

/**
 * Waits until the app shell is kept, and lists the caches.
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
async function shellKept(page) {
  return page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    return caches.keys();
  });
}

test('the phone can be installed: its manifest starts it alone, and every icon is there', async ({ page, server }) => {
  await page.goto(`${server.url}/demo/phone`);
  const devtools = await page.context().newCDPSession(page);
  const { url, errors, data } = await devtools.send('Page.getAppManifest');
  expect([url, errors]).toEqual([`${server.url}/demo/phone/manifest.webmanifest`, []]);
  const { start_url, scope, display, icons } = JSON.parse(data ?? '');
  expect([new URL(start_url, url).pathname, new URL(scope, url).pathname]).toEqual(['/demo/phone', '/demo/phone']);
  expect(display).toBe('standalone');
  for (const { src, type } of icons) {
    const response = await page.request.get(server.url + src);
    expect([response.status(), response.headers()['content-type']]).toEqual([200, type]);
  }
});

test('without a network the phone opens with its accounts and says that it is offline; no answer of the API is kept', async ({
  page,
  server,
}) => {
  const user = await openPhone(page, server);
  const [cache, ...others] = await shellKept(page);
  expect(others).toEqual([]);
  const kept = await page.evaluate(async (name) => {
    const requests = await (await caches.open(name)).keys();
    return requests.map(({ url }) => new URL(url).pathname);
  }, cache);
  expect(kept).toContain('/demo/phone');
  expect(kept.filter((path) => path !== '/demo/phone' && !path.startsWith('/assets/'))).toEqual([]);
  await page.context().setOffline(true);
  await page.reload();
  await expect(page.getByText('You are offline.')).toBeVisible();
  await expect(heading(page, 'Your accounts')).toBeVisible();
  await page.getByRole('button', { name: 'Scan a code' }).click();
  await expect(heading(page, 'Scan a code')).toBeVisible();
  await page.getByRole('button', { name: 'Back' }).click();
  await page.context().setOffline(false);
  await expect(page.getByText('You are offline.')).toBeHidden();
  await expect(account(page, user, 'Ready')).toBeVisible({ timeout: 30_000 });
});

test('the app shell of an earlier version is deleted, and caches of others are not', async ({ page, server }) => {
  await page.goto(`${server.url}/docs`);
  await page.evaluate(() => Promise.all([caches.open('nodkey-phone /demo/phone before'), caches.open('another')]));
  await page.goto(`${server.url}/demo/phone`);
  await expect.poll(() => shellKept(page)).not.toContain('nodkey-phone /demo/phone before');
  const kept = await shellKept(page);
  expect(kept).toHaveLength(2);
  expect(kept).toContain('another');
});

test('a phone whose owner turns notifications on is woken by a push without content, and no more once it is removed', async ({
  page,
}) => {
  const server = await start('--push-to-this-machine');
  const browser = new Subscriber();
  const pushes = await receive();
  try {
    await server.admin('push', 'webpush', 'mailto:ops@example.com');
    await page.context().grantPermissions(['notifications'], { origin: server.url });
    await standIn(page, { endpoint: `${pushes.url}/push`, keys: browser.keys });
    const user = await openPhone(page, server);
    await account(page, user, 'Ready').click();
    const on = page.getByRole('button', { name: 'Turn on notifications' });
    await expect(on).toBeVisible();
    expect(await page.evaluate('globalThis.permissionRequests')).toBe(0);
    await on.click();
    await expect(page.getByText('Notifications are on.')).toBeVisible();
    const device = await deviceOf(server, user);
    expect((await server.admin('push', 'show', '--', device)).provider).toBe('webpush');
    const configured = (await server.admin('push', 'list')).items[0];
    expect(await page.evaluate('globalThis.subscribedWith')).toBe(configured.public_key);

    await page.getByRole('button', { name: 'Back' }).click();
    await ask(server, user, 'pay 90 EUR');
    const { headers, body } = await pushes.next();
    expect(headers['content-encoding']).toBe('aes128gcm');
    expect(headers.authorization).toContain(`k=${configured.public_key}`);
    const message = browser.decrypt(body);
    expect(message).toBe('{"nodkey":"look"}');

    await deliver(page, server.url, message);
    await expect.poll(() => shown(page)).toEqual([['A request is waiting', 'Open the phone to see it.']]);
    await page.getByRole('button', { name: 'Reject' }).click();
    await page.getByRole('button', { name: 'Done' }).click();

    await account(page, user, 'Ready').click();
    await page.getByRole('button', { name: 'Remove this account' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await expect(heading(page, 'Set up this phone')).toBeVisible();
    expect(await page.evaluate('globalThis.unsubscribed')).toBe(true);
    const scopes = await page.evaluate(async () =>
      (await navigator.serviceWorker.getRegistrations()).map(({ scope }) => new URL(scope).pathname),
    );
    expect(scopes).toEqual(['/demo/phone']);
    await expect(server.admin('push', 'show', '--', device)).rejects.toThrow('NOT_FOUND');
  } finally {
    await pushes.close();
    await server.stop();
  }
});

test('notifications turned off in one page of the phone stay off when another page writes the account and is reloaded', async ({
  page,
}) => {
  const server = await start('--push-to-this-machine');
  try {
    await server.admin('push', 'webpush', 'mailto:ops@example.com');
    await page.context().grantPermissions(['notifications'], { origin: server.url });
    const other = await page.context().newPage();
    // Nothing is pushed: no request is made.
    const given = { endpoint: 'http://127.0.0.1:9/push', keys: new Subscriber().keys };
    for (const each of [page, other]) await standIn(each, given);
    const user = await openPhone(page, server);
    await other.goto(`${server.url}/demo/phone`);
    for (const each of [page, other]) await account(each, user, 'Ready').click();
    await page.getByRole('button', { name: 'Turn on notifications' }).click();
    await expect(page.getByText('Notifications are on.')).toBeVisible();
    await untilReopenedWith(other, user, 'Turn off notifications');
    await page.getByRole('button', { name: 'Turn off notifications' }).click();
    await expect(page.getByRole('button', { name: 'Turn on notifications' })).toBeVisible();
    await untilReopenedWith(other, user, 'Turn on notifications');

    await other.getByRole('button', { name: 'Rename this phone' }).click();
    await other.getByRole('dialog').getByLabel('Name').fill('Grace’s phone');
    await other.getByRole('button', { name: 'Rename', exact: true }).click();
    await expect(other.getByRole('definition').filter({ hasText: 'Grace’s phone' })).toBeVisible();
    await other.reload();
    await account(other, user, 'Ready').click();
    await expect(other.getByRole('button', { name: 'Turn on notifications' })).toBeVisible();
    expect(await other.evaluate('globalThis.subscribedWith')).toBeUndefined();
    const device = await deviceOf(server, user);
    await expect(server.admin('push', 'show', '--', device)).rejects.toThrow('NOT_FOUND');
  } finally {
    await server.stop();
  }
});

test('a notification that is clicked brings the open phone to the front', async ({ page, server }) => {
  await page.context().grantPermissions(['notifications'], { origin: server.url });
  await openPhone(page, server);
  await shellKept(page);
  const [worker] = page.context().serviceWorkers();
  const focused = await worker.evaluate(async () => {
    const scope = /** @type {any} */ (globalThis);
    const clicked = new Promise((resolve) => {
      scope.WindowClient.prototype.focus = async function () {
        resolve(new URL(this.url).pathname);
      };
    });
    await scope.registration.showNotification('A request is waiting');
    const [notification] = await scope.registration.getNotifications();
    scope.dispatchEvent(new scope.NotificationEvent('notificationclick', { notification }));
    return clicked;
  });
  expect(focused).toBe('/demo/phone');
});

test('where the site has not set them up, or the browser blocks them, the account says so', async ({
  page,
  server,
}) => {
  const user = await openPhone(page, server);
  await account(page, user, 'Ready').click();
  await expect(page.getByText('The site has not set up notifications.')).toBeVisible();
  await page.route('**/push_options', (route) => route.fulfill({ json: { webpush_public_key: 'AAAA' } }));
  await page.addInitScript(() => Object.defineProperty(Notification, 'permission', { value: 'denied' }));
  await page.reload();
  await account(page, user, 'Ready').click();
  await expect(page.getByText('Notifications are blocked for this page.')).toBeVisible();
});

/** A browser's half of Web Push (RFC 8291). */
class Subscriber {
  #ecdh = createECDH('prime256v1');
  #auth = randomBytes(16);

  constructor() {
    this.#ecdh.generateKeys();
    this.keys = { p256dh: this.#ecdh.getPublicKey('base64url'), auth: this.#auth.toString('base64url') };
  }

  /** @param {Buffer} body one record (RFC 8188) */
  decrypt(body) {
    const [salt, sender, record] = [body.subarray(0, 16), body.subarray(21, 86), body.subarray(86)];
    /** @type {(secret: Buffer, salt: Buffer, info: (string | Buffer)[], length: number) => Buffer} */
    const derive = (secret, salt, info, length) =>
      Buffer.from(hkdfSync('sha256', secret, salt, Buffer.concat(info.map((part) => Buffer.from(part))), length));
    const info = ['WebPush: info\0', this.#ecdh.getPublicKey(), sender];
    const secret = derive(this.#ecdh.computeSecret(sender), this.#auth, info, 32);
    const key = derive(secret, salt, ['Content-Encoding: aes128gcm\0'], 16);
    const nonce = derive(secret, salt, ['Content-Encoding: nonce\0'], 12);
    const cipher = createDecipheriv('aes-128-gcm', key, nonce).setAuthTag(record.subarray(-16));
    const padded = Buffer.concat([cipher.update(record.subarray(0, -16)), cipher.final()]);
    return padded.subarray(0, padded.lastIndexOf(2)).toString();
  }
}

/** A push service, on an address of its own. */
async function receive() {
  /** @type {{headers: import('node:http').IncomingHttpHeaders, body: Buffer}[]} */
  const arrived = [];
  let notify = () => {};
  const service = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    arrived.push({ headers: request.headers, body: Buffer.concat(chunks) });
    response.writeHead(201).end();
    notify();
  });
  await new Promise((resolve) => service.listen(0, '127.0.0.1', () => resolve(null)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (service.address());
  return {
    url: `http://127.0.0.1:${port}`,
    async next() {
      while (!arrived.length) await new Promise((resolve) => (notify = () => resolve(null)));
      return /** @type {typeof arrived[0]} */ (arrived.shift());
    },
    close: () => new Promise((resolve) => service.close(() => resolve(null))),
  };
}

/**
 * Opens the account again, until it has a button: the page learns later what another one changed.
 * @param {Page} page which shows the account
 * @param {string} user
 * @param {string} name of the button
 */
async function untilReopenedWith(page, user, name) {
  await expect(async () => {
    await page.getByRole('button', { name: 'Back' }).click();
    await account(page, user, 'Ready').click();
    await expect(page.getByRole('button', { name })).toBeVisible({ timeout: 2_000 });
  }).toPass();
}

/**
 * Gives the browser a push service, which it does not have in tests.
 * @param {Page} page
 * @param {{endpoint: string, keys: object}} given
 */
async function standIn(page, given) {
  await page.addInitScript((given) => {
    const scope = /** @type {any} */ (globalThis);
    scope.permissionRequests = 0;
    const request = Notification.requestPermission.bind(Notification);
    Notification.requestPermission = () => {
      scope.permissionRequests += 1;
      return request();
    };
    const subscription = {
      endpoint: given.endpoint,
      toJSON: () => ({ ...given, expirationTime: null }),
      unsubscribe: async () => (scope.unsubscribed = true),
    };
    /** @type {any} */
    let subscribed = null;
    scope.PushManager.prototype.getSubscription = async () => subscribed;
    scope.PushManager.prototype.subscribe = async (/** @type {any} */ { applicationServerKey: key }) => {
      const text = btoa(String.fromCharCode(...key));
      scope.subscribedWith = text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
      subscribed = subscription;
      return subscription;
    };
  }, given);
}

/**
 * Delivers a push to the account's service worker, as the browser would.
 * @param {Page} page
 * @param {string} origin
 * @param {string} data
 */
async function deliver(page, origin, data) {
  const devtools = await page.context().newCDPSession(page);
  const registrationId = await new Promise((resolve) => {
    devtools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const found = registrations.find(({ scopeURL }) => scopeURL.includes('/push/'));
      if (found) resolve(found.registrationId);
    });
    void devtools.send('ServiceWorker.enable');
  });
  await devtools.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data });
}

/**
 * The notifications that are shown.
 * @param {Page} page
 */
function shown(page) {
  return page.evaluate(async () => {
    const registrations = await navigator.serviceWorker.getRegistrations();
    const all = await Promise.all(registrations.map((registration) => registration.getNotifications()));
    return all.flat().map(({ title, body }) => [title, body]);
  });
}
