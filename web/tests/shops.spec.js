/** The shops of examples/, as their `run` starts them: one test for all, by the page and the phone in a browser. */

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import path from 'node:path';
import readline from 'node:readline';

import { accept, enterNumber, heading, openPhone, pair, touch } from './support/acme.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */

const examples = path.resolve(import.meta.dirname, '../../examples');

/** A port that was free a moment ago. */
async function freePort() {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', () => resolve(null)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (listener.address());
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/**
 * Starts a shop for a deployment; resolves when it says that it is there.
 * @param {string} name folder of `examples`
 * @param {import('./support/server.js').Server} server
 */
async function open(name, server) {
  const port = String(await freePort());
  const env = { ...process.env, NODKEY_DEV_JSON: path.join(server.folder, 'dev.json') };
  const child = spawn(path.join(examples, name, 'run'), [port], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  /** @type {string[]} */
  const said = [];
  await new Promise((resolve, reject) => {
    child.once('error', reject).once('exit', () => reject(new Error(`examples/${name}/run: ${said.join('\n')}`)));
    for (const input of [child.stdout, child.stderr]) {
      readline.createInterface({ input }).on('line', (line) => {
        said.push(line);
        if (/the shop is at|Uvicorn running on/.test(line)) resolve(null);
      });
    }
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

/**
 * Scans the code of the shop by pressing it, with the phone of this browser.
 * @param {Page} shop
 */
async function scan(shop) {
  const [phone] = await Promise.all([
    shop.waitForEvent('popup'),
    shop.getByRole('button', { name: 'QR code: scan it with your phone' }).click(),
  ]);
  await pair(phone);
  return phone;
}

/**
 * Orders something for that amount.
 * @param {Page} shop
 * @param {string} amount
 */
async function pay(shop, amount) {
  await shop.getByLabel('To').fill('Café ☕ <b>');
  await shop.getByLabel('Amount').fill(amount);
  await shop.getByRole('button', { name: 'Pay' }).click();
}

/** @param {Page} shop */
const message = (shop) => shop.getByRole('status').first();
/** @param {Page} shop */
const orders = (shop) => shop.getByRole('list', { name: 'Orders' }).getByRole('listitem');

for (const name of (process.env.NODKEY_TEST_SHOPS ?? '').split(' ').filter(Boolean)) {
  test.describe(`the shop of examples/${name}`, () => {
    /** @type {Awaited<ReturnType<typeof open>>} */
    let running;
    test.beforeAll(async ({ server }) => {
      running = await open(name, server);
    });
    test.afterAll(() => running?.stop());

    test('somebody signs in by code, pays what the phone shows, and signs in by name', async ({ page, server }) => {
      const user = await openPhone(page, server);
      const shop = await page.context().newPage();
      await shop.goto(running.url);
      await page.close();
      const phone = await scan(shop);
      await expect(heading(phone, 'sign in')).toBeVisible();
      await accept(phone);
      await expect(shop.getByText(`Hello, ${user}.`)).toBeVisible();
      await expect(message(shop)).toHaveText('Done.');

      await pay(shop, '90.00 EUR');
      await expect(message(shop)).toHaveText('Look at your phone.');
      await expect(heading(phone, 'pay')).toBeVisible();
      await expect(phone.getByText('90.00 EUR to Café ☕ <b>', { exact: true })).toBeVisible();
      await expect(phone.getByRole('term')).toHaveText(['to', 'amount']);
      await expect(phone.getByRole('definition')).toHaveText(['Café ☕ <b>', '90.00 EUR']);
      await expect(orders(shop)).toHaveCount(0);
      await accept(phone);
      await expect(message(shop)).toHaveText('Done.');
      // The webhook, too, has arrived and was verified.
      await expect(orders(shop)).toHaveText(['90.00 EUR to Café ☕ <b>: paid, and the webhook says so']);

      await shop.getByRole('button', { name: 'Sign out' }).click();
      await shop.getByLabel('Or by name').fill(user);
      await shop.getByRole('button', { name: 'Sign in' }).click();
      await expect(message(shop)).toHaveText(/It asks for \d{6}$/);
      const [number] = String(await message(shop).textContent()).match(/\d{6}/) ?? [];
      await enterNumber(phone, String(number));
      await touch(phone);
      await expect(shop.getByText(`Hello, ${user}.`)).toBeVisible();
      await expect(orders(shop)).toHaveCount(1);
    });

    test('who rejects is not signed in, and has not paid', async ({ page, server }) => {
      const user = await openPhone(page, server);
      const shop = await page.context().newPage();
      await shop.goto(running.url);
      await page.close();
      const phone = await scan(shop);
      await phone.getByRole('button', { name: 'Reject' }).click();
      await expect(message(shop)).toHaveText('Not done: rejected.');
      await expect(shop.getByRole('heading', { name: 'Sign in' })).toBeVisible();
      await phone.close();

      const again = await scan(shop);
      await accept(again);
      await expect(shop.getByText(`Hello, ${user}.`)).toBeVisible();
      await pay(shop, '0.01 EUR');
      await again.getByRole('button', { name: 'Reject' }).click();
      await expect(message(shop)).toHaveText('Not done: rejected.');
      await expect(orders(shop)).toHaveText(['0.01 EUR to Café ☕ <b>: rejected, and the webhook says so']);
    });

    test('a name that nobody has is refused, and the page goes on offering codes', async ({ page }) => {
      await page.goto(running.url);
      await page.getByLabel('Or by name').fill('nobody-has-this-name');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await expect(message(page)).toHaveText(/^That did not work: [A-Z_]+$/);
      await expect(page.getByRole('button', { name: 'QR code: scan it with your phone' })).toBeVisible();
    });
  });
}
