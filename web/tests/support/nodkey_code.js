/** Pages with a `<nodkey-code>`, and what they do. */

import { readFile } from 'node:fs/promises';

import { generateKey, keyStore } from '../../assets/phone/keys.js';
import { Phone } from '../../assets/phone/protocol.js';
import { decodeQR } from '../../assets/vendor/qr/decode.js';
import { Shop, strictPolicy } from './shop.js';
import { test as base } from './test.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./server.js').Server} Server */

const SCALE = 4;
const SDK = new URL('../../../sdk/web/', import.meta.url);
export const CODES = /\/api\/v2\/trucodes$/;
export const STATUS = /\/api\/v2\/trucodes\/[^/]+$/;

/** @typedef {import('./test.js').PerTest & import('./test.js').OursPerTest & {shop: Shop}} PerTest */
/** @typedef {import('./test.js').PerWorker & import('./test.js').OursPerWorker} PerWorker */

/** JSDoc cannot name what `extend` adds; this does. */
const typed = /** @type {import('@playwright/test').TestType<PerTest, PerWorker>} */ (/** @type {unknown} */ (base));

/** Tests with a relying party's site of their own. */
export const test = typed.extend({
  shop: async ({}, use) => {
    const shop = await Shop.start();
    await use(shop);
    await shop.stop();
  },
});

/** @param {Page} page */
export const image = (page) => page.locator('nodkey-code').getByRole('img');
/** @param {Page} page */
export const status = (page) => page.locator('nodkey-code').getByRole('status');
/** @param {Page} page */
export const state = (page) => page.locator('nodkey-code').evaluate((/** @type {any} */ code) => code.state);

/**
 * A document of README.md or of the guide: the HTML page that it shows, for this deployment.
 * @param {URL} document
 * @param {Server} server
 */
export async function documented(document, server) {
  const { relying_party_id: party } = await credentials(server);
  const [, html] = /** @type {RegExpExecArray} */ (
    /```html\n(<!doctype html>.*?)```/s.exec(await readFile(document, 'utf8'))
  );
  return html.replaceAll('https://auth.example.com', server.url).replaceAll('YOUR-RELYING-PARTY-ID', party);
}

/**
 * A page with the element alone.
 * @param {Server} server
 * @param {{attributes?: string, style?: string}} [page]
 */
export async function markup(server, { attributes = '', style = '' } = {}) {
  const { latest, versions } = JSON.parse(await readFile(new URL('served/versions.json', SDK), 'utf8'));
  const { path, integrity } = versions[latest];
  const { relying_party_id: party } = await credentials(server);
  return `<!doctype html>
    <html lang="en">
      <title>Shop</title>
      <style>:root { color-scheme: light dark; } ${style}</style>
      <script type="module" src="${server.url}${path}" integrity="${integrity}" crossorigin></script>
      <main><h1>Sign in</h1><nodkey-code relying-party="${party}" ${attributes}></nodkey-code></main>
    </html>`;
}

/**
 * Opens a page with the element alone, where styles in markup are allowed, and keeps its events in `window.heard`.
 * @param {Page} page
 * @param {Shop} shop
 * @param {Server} server
 * @param {Parameters<typeof markup>[1] & {policy?: string}} [options]
 */
export async function open(page, shop, server, { policy = strictPolicy(server.url), ...options } = {}) {
  shop.serve(await markup(server, options), `${policy}; style-src 'unsafe-inline'`);
  await page.addInitScript(() => {
    const heard = /** @type {unknown[]} */ (Object.assign(window, { heard: [] }).heard);
    for (const type of ['shown', 'paired', 'error', 'state', 'press']) {
      addEventListener(`nodkey-${type}`, (event) => {
        heard.push([type, /** @type {CustomEvent} */ (event).detail]);
      });
    }
  });
  await page.goto(shop.url);
}

/**
 * The details of events of a type, in order.
 * @param {Page} page
 * @param {string} type
 * @returns {Promise<any[]>}
 */
export async function heard(page, type) {
  const all = await page.evaluate(() => /** @type {any} */ (window).heard);
  return all
    .filter((/** @type {[string]} */ [of]) => of === type)
    .map((/** @type {[string, any]} */ [, detail]) => detail);
}

/**
 * Counts the codes that a page creates.
 * @param {Page} page
 */
export function created(page) {
  const count = { codes: 0 };
  page.on('request', (request) => {
    if (request.method() === 'POST' && CODES.test(request.url())) count.codes += 1;
  });
  return count;
}

/**
 * From now on a page's time goes on only as the test says. Needs the page's clock to be installed.
 * @param {Page} page
 */
export async function freeze(page) {
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1000);
}

/**
 * Waits until what a page has begun to call has left it.
 * @param {Page} page
 * @param {Server} server
 */
export async function settle(page, server) {
  await page.evaluate((url) => fetch(url).then((response) => response.text()), `${server.url}/sdk/nodkey-code.json`);
}

/**
 * Has a page be seen, or not.
 * @param {Page} page
 * @param {boolean} isSeen
 */
export async function see(page, isSeen) {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, !isSeen);
}

/**
 * What `make dev` writes down for developers.
 * @param {Server} server
 * @returns {Promise<{relying_party_id: string, mobile: {token: string, secret: string}}>}
 */
export async function credentials(server) {
  return JSON.parse(await readFile(`${server.folder}/dev.json`, 'utf8'));
}

/**
 * A phone that is registered, and bound to nobody.
 * @param {Server} server
 */
export async function registeredPhone(server) {
  const keys = await keyStore(await generateKey(), await generateKey(), async () => {});
  const phone = await Phone.open({ gateway: server.url, keys });
  await phone.register((await credentials(server)).mobile, { name: 'soft phone' });
  return phone;
}

/**
 * Reads a code as it is drawn.
 * @param {import('@playwright/test').Locator} image
 * @returns {Promise<string>}
 */
export async function readCode(image) {
  const size = Number(String(await image.getAttribute('viewBox')).split(' ')[2]);
  const path = String(await image.locator('path').getAttribute('d'));
  const width = size * SCALE;
  const data = new Uint8Array(width * width * 4).fill(255);
  for (const [, x, y, run] of path.matchAll(/M(\d+) (\d+)h(\d+)v1/g)) {
    for (let row = Number(y) * SCALE; row < (Number(y) + 1) * SCALE; row += 1) {
      const start = (row * width + Number(x) * SCALE) * 4;
      for (let at = start; at < start + Number(run) * SCALE * 4; at += 4) data.fill(0, at, at + 3);
    }
  }
  return decodeQR({ width, height: width, data });
}
