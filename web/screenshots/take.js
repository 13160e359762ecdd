/** Takes the pictures of the README: `make screenshots`. Each shows a real server after something has really happened. */

import path from 'node:path';

import { chromium } from '@playwright/test';

import config from '../playwright.config.js';
import { accept, heading, join, openPhone, phoneBeside, send, signInByCode } from '../tests/support/acme.js';
import { enter, open, row } from '../tests/support/console.js';
import { start } from '../tests/support/server.js';

/** @typedef {import('@playwright/test').Page} Page */

const folder = path.resolve(import.meta.dirname, '../../docs/images');

/**
 * @param {Page} page
 * @param {string} name
 */
const take = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`), animations: 'disabled' });

const server = await start();
const browser = await chromium.launch(config.use?.launchOptions);
try {
  const bank = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await bank.goto(`${server.url}/demo`);
  const phone = phoneBeside(bank);
  await join(phone, 'ada');
  await take(bank, 'demo');
  await signInByCode(bank, phone);
  await phone.getByRole('button', { name: 'Done' }).click();
  await send(bank, 'Grace Hopper', '90.00');
  await heading(phone, 'transfer 90.00 EUR to Grace Hopper').waitFor();
  await take(bank, 'transfer');
  await accept(phone);
  await bank.getByText('The proof is valid').waitFor();
  await phone.getByRole('button', { name: 'Done' }).click();
  await take(bank, 'receipt');

  const handheld = await browser.newPage({ viewport: { width: 390, height: 760 } });
  const user = await openPhone(handheld, server);
  await server.admin(
    'trusonafications',
    'create',
    '--user',
    user,
    '--action',
    'transfer 90.00 EUR to Grace Hopper',
    '--resource',
    'Acme Bank',
  );
  await handheld.getByRole('button', { name: 'Accept' }).waitFor();
  await take(handheld, 'phone');

  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const console = await context.newPage();
  await enter(console, server, server.invitation);
  const [party] = (await server.admin('relying-parties', 'list')).items;
  await open(console, server, 'trusonafications', { rp: party.id });
  await row(console, 'Grace Hopper').first().waitFor();
  await take(console, 'console');
} finally {
  await browser.close();
  await server.stop();
}
