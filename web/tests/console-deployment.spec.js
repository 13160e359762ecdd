/** The deployment as a whole: how it is, what signs for it, and what is seen when it is away. */

import { heading, openPhone } from './support/acme.js';
import { choose, confirmTwice, dialog, expectToast, go, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

const SERVICES = ['registry', 'binding', 'trusonafication', 'notification', 'gateway'];
const CHARTS = ['Logins', 'Waiting phones', 'Deliveries', 'Outbox', 'HTTP errors'];

/**
 * A chart, by its title and a value it has.
 * @param {Page} page
 * @param {string} title
 * @param {string} [reading]
 */
function chart(page, title, reading = '') {
  return page.getByRole('img', { name: new RegExp(`^${title}\\. .*${reading}`) });
}

/**
 * Has the metrics say how many endpoints fail, whatever other tests have left behind.
 * @param {Page} page
 * @param {number} failing
 */
async function withFailing(page, failing) {
  await page.route('**/console/api/status', async (route) => {
    const response = await route.fetch();
    const { processes } = await response.json();
    const others = /^nodkey_(endpoints_failing|deliveries_oldest_pending_seconds|consumer_retrying_seconds)\b.*$/gm;
    for (const process of processes)
      process.metrics = `${process.metrics.replace(others, '')}\nnodkey_endpoints_failing ${failing}\n`;
    await route.fulfill({ response, json: { processes } });
  });
}

test('ready is not said while an endpoint fails every attempt', async ({ page, server }) => {
  await withFailing(page, 2);
  await open(page, server, 'overview');
  await expect(page.getByText('2 webhook endpoints fail every attempt')).toBeVisible();
  await expect(page.getByRole('status').getByText('All processes run, but 1 problem needs attention')).toBeVisible();
  await expect(page.getByRole('status').getByText('Ready', { exact: true })).toHaveCount(0);
  await expect(page.getByRole('link', { name: /^Overview.*needs attention/ })).toBeVisible();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('the overview names the endpoint of the relying party that fails, and leads to its deliveries', async ({
  page,
  server,
  receiver,
}) => {
  receiver.answer = { status: 500 };
  const shop = await tenant(server);
  await shop.enrol('ada');
  const { id } = await shop.admin('endpoints', 'create', receiver.url);
  const asked = await shop.ask('ada', 'log in');
  await shop.admin('trusonafications', 'cancel', asked.id);
  await open(page, server, 'endpoints', { rp: shop.id });
  await expect(async () => {
    await page.reload();
    await expect(row(page, receiver.url)).toContainText('Failing', { timeout: 1000 });
  }).toPass();
  await open(page, server, 'overview');
  await page.getByRole('main').getByRole('link', { name: receiver.url }).click();
  await expect(heading(page, 'Deliveries')).toBeFocused();
  expect(new URL(page.url()).searchParams.get('endpoint')).toBe(id);
});

test('an endpoint that begins to fail is named while the overview is open, and no longer once it does not', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  const url = 'https://receiver.example/hooks';
  let failing = false;
  await page.route('**/ListEndpoints', async (route) => {
    const endpoint = { id: 'failing', url, enabled: true, createdAt: '2026-01-01T00:00:00Z', publicKey: '' };
    const endpoints = [failing ? { ...endpoint, failingSince: '2026-01-02T00:00:00Z' } : endpoint];
    await route.fulfill({ json: { endpoints } });
  });
  await withFailing(page, 0);
  await open(page, server, 'users', { rp: shop.id });
  await go(page, 'Overview');
  const named = page.getByRole('main').getByRole('link', { name: url });
  await expect(page.getByRole('status').getByText('Ready', { exact: true })).toBeVisible();
  await expect(named).toHaveCount(0);
  failing = true;
  await withFailing(page, 1);
  await expect(named).toBeVisible({ timeout: 15_000 });
  failing = false;
  await withFailing(page, 0);
  await expect(named).toHaveCount(0, { timeout: 15_000 });
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('the overview counts the trusonafications of the relying party, by hour and by day, with their success rate', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  const phone = await shop.enrol('ada');
  for (const decision of /** @type {const} */ (['accept', 'accept', 'reject'])) {
    await shop.ask('ada', 'log in');
    await phone.answer(decision);
  }
  const { id } = await shop.ask('ada', 'log in');
  await shop.admin('trusonafications', 'cancel', id);
  await open(page, server, 'trusonafications', { rp: shop.id });
  await open(page, server, 'overview');
  const totals = page.getByRole('region', { name: 'Totals' });
  // In all, accepted, rejected, expired, canceled, in progress.
  const expected = ['4', '2', '1', '0', '1', '0', '66.7%'];
  await expect(totals).toContainText(shop.name);
  await expect(totals.getByRole('definition')).toHaveText(expected);
  await totals.getByText('By hour', { exact: true }).click();
  await expect(totals.getByRole('row')).toHaveCount(25);
  await totals.getByLabel('Period').selectOption('Last 30 days');
  await totals.getByText('By day', { exact: true }).click();
  await expect(totals.getByRole('definition')).toHaveText(expected);
  await expect(totals.getByRole('row')).toHaveCount(31);
});

test('the overview names every service as ready', async ({ page, server }) => {
  await withFailing(page, 0);
  await open(page, server, 'overview');
  await expect(heading(page, 'Overview')).toBeVisible();
  const processes = page.getByRole('table', { name: 'Processes' });
  await expect(processes.getByText('Ready')).toBeVisible();
  for (const service of SERVICES) await expect(processes.getByRole('rowheader')).toContainText(service);
  await expect(page.getByRole('status').getByText('Ready', { exact: true })).toBeVisible();
  await expect(page.getByText('needs attention')).toBeHidden();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('the overview charts how logins go', async ({ page, elsewhere, server }) => {
  const shop = await tenant(server);
  const phone = await shop.enrol('ada');
  await openPhone(elsewhere, server);
  await open(page, server, 'overview');
  for (const title of CHARTS) await expect(chart(page, title).locator('.line').first()).toHaveAttribute('d', /^M.+L/);
  // Times have a line only while phones answer.
  await expect(chart(page, 'Time to answer')).toBeVisible();
  await expect(chart(page, 'Waiting phones', 'Phones: [1-9]')).toBeVisible();
  await expect(chart(page, 'Deliveries', 'Pending: \\d')).toBeVisible();
  await shop.ask('ada', 'log in');
  await phone.answer('accept');
  await expect(chart(page, 'Logins', 'Accepted: 0\\.\\d+/s')).toBeVisible();
  await expect(chart(page, 'Time to answer', 'p50: [\\d.]+ m?s, p99: [\\d.]+ m?s')).toBeVisible();
});

test('a server that is away is said to be, and is looked for again', async ({ page, server }) => {
  const shop = await tenant(server);
  await open(page, server, 'overview', { rp: shop.id });
  await go(page, 'Credentials');
  await page.context().setOffline(true);
  await page.getByRole('link', { name: 'Deliveries' }).click();
  await expect(page.getByRole('alert')).toContainText('The server cannot be reached');
  await page.getByRole('link', { name: 'Credentials' }).click();
  await expect(page.getByRole('alert')).toContainText('UNREACHABLE');
  await page.getByRole('link', { name: 'Overview' }).click();
  await expect(page.getByText('The state of the deployment is unknown')).toBeVisible();
  await expect(page.getByRole('link', { name: /^Overview.*needs attention/ })).toBeVisible();
  await withFailing(page, 0);
  await page.context().setOffline(false);
  for (const button of (await page.getByRole('button', { name: 'Try again' }).all()).toReversed()) await button.click();
  await expect(page.getByRole('status').getByText('Ready', { exact: true })).toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await go(page, 'Deliveries');
  await expect(page.getByText('No deliveries yet')).toBeVisible();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('a view that could not be loaded is tried again', async ({ page, server }) => {
  const shop = await tenant(server);
  await page.route('**/ListCredentials', (route) => route.abort());
  await open(page, server, 'credentials', { rp: shop.id });
  await expect(page.getByRole('alert')).toContainText('The server cannot be reached');
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByText('No credentials yet')).toBeVisible();
});

test('an address that is no view says so, and leads on', async ({ page, server }) => {
  await open(page, server, 'nothing');
  await expect(heading(page, 'Not found')).toBeVisible();
  await page.getByRole('main').getByRole('link', { name: 'Overview' }).click();
  await expect(heading(page, 'Overview')).toBeFocused();
});

test('a signing key is rotated or revoked, and what the old one signed still holds until then', async ({
  page,
  server,
  confirmOnPhone,
}) => {
  const shop = await tenant(server);
  const phone = await shop.enrol('ada');
  const { id } = await shop.ask('ada', 'log in');
  await phone.answer('accept');
  await open(page, server, 'signing-keys');
  await expect(row(page, 'Current')).toHaveCount(2);
  await page.getByRole('button', { name: 'Rotate' }).click();
  await page.getByLabel('Algorithm of the new key').selectOption('ES256 (P-256)');
  await confirmTwice(page, 'Rotate', confirmOnPhone);
  await expectToast(page, 'New key published');
  await expect(row(page, 'Current')).toHaveCount(2);
  await expect(row(page, 'Published')).toContainText('ES256');
  await expect(row(page, 'Published')).toContainText('trusonafication');
  const kids = async () => (await (await page.request.get(`${server.url}/jwks`)).json()).keys.length;
  expect(await kids()).toBe(3);
  await open(page, server, 'trusonafication', { rp: shop.id, id });
  await expect(page.getByText('Genuine', { exact: true })).toBeVisible();
  await open(page, server, 'signing-keys');
  await page.getByRole('button', { name: 'Rotate' }).click();
  await page.getByLabel('The old key is compromised').check();
  await confirmTwice(page, 'Rotate', confirmOnPhone);
  await expect(row(page, 'Revoked')).toHaveCount(2);
  await expect(row(page, 'Current')).toHaveCount(2);
  expect(await kids()).toBe(2);
});

test('dead letters are listed with their causes, the newest first and each once, whichever replicas report it', async ({
  page,
  server,
}) => {
  const letter = (/** @type {number} */ n) => ({
    consumer: 'notification_accepted',
    event_id: `019ab2f4-9000-7a52-9d27-0d2b8a7f4c0${n}`,
    subject: 'trusonafication.accepted',
    cause: `refused: cause ${n}`,
    given_up_at: `2026-11-26T03:04:0${n}.000Z`,
  });
  await page.route('**/console/api/status', async (route) => {
    const response = await route.fetch();
    const { processes } = await response.json();
    const replica = { ...processes[0], id: 'replica', dead_letters: [letter(2), letter(1)] };
    processes[0].dead_letters = [letter(3), letter(2)];
    await route.fulfill({ response, json: { processes: [...processes, replica] } });
  });
  await open(page, server, 'overview');
  const letters = page.getByRole('table', { name: 'Dead letters' });
  await expect(letters.getByText(/refused: cause/)).toHaveText([
    'refused: cause 3',
    'refused: cause 2',
    'refused: cause 1',
  ]);
  await expect(page.getByText('There are dead letters')).toBeVisible();
  await expect(page.getByRole('status').getByText('All processes run, but')).toBeVisible();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('a dead letter is shown, replayed and dropped for a reason, at the service that has it', async ({
  page,
  server,
}) => {
  const letter = (/** @type {number} */ n, /** @type {string} */ consumer) => ({
    consumer,
    event_id: `019ab2f4-9000-7a52-9d27-0d2b8a7f4c0${n}`,
    subject: 'evt.registry.v1.device_retired.p.d',
    cause: `cause ${n}`,
    given_up_at: `2026-11-26T03:04:0${n}.000Z`,
  });
  const name = ({ consumer = '', event_id = '' }) => ({ consumer, eventId: event_id });
  const one = letter(1, 'binding_device_retired');
  const two = letter(2, 'notification_device_retired');
  let letters = [two, one];
  await page.route('**/console/api/status', async (route) => {
    const response = await route.fetch();
    const { processes } = await response.json();
    processes[0].dead_letters = letters;
    await route.fulfill({ response, json: { processes } });
  });
  /** @type {[string | undefined, string | undefined, any][]} */
  const calls = [];
  /** @type {Record<string, any>} */
  const answers = {
    GetDeadLetter: {
      headers: { 'ce-version': '2' },
      payloadJson: '{"deviceId":"d"}',
      payloadBytes: '3',
      replayable: true,
    },
    ReplayDeadLetters: { replayed: [{ outcome: 'REPLAY_OUTCOME_FAILED', cause: 'still broken' }] },
    DropDeadLetters: { count: 1 },
  };
  await page.route('**/console/api/rpc/nodkey.status.v1.DeadLetterService/*', async (route) => {
    const request = route.request();
    const method = request.url().split('/').at(-1) ?? '';
    calls.push([method, request.headers()['x-nodkey-service'], request.postDataJSON()]);
    await route.fulfill({ json: answers[method] });
  });
  await open(page, server, 'overview');
  const act = async (/** @type {string} */ consumer, /** @type {string} */ action) => {
    const letterRow = row(page, consumer);
    await letterRow.scrollIntoViewIfNeeded();
    // A menu closes when the page scrolls, and the page says that it did in its next frames.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await choose(letterRow, action);
  };

  await act('binding_device_retired', 'Show');
  const shown = dialog(page, 'Dead letter');
  await expect(shown.getByRole('group', { name: 'Payload' })).toContainText('"deviceId": "d"');
  await expect(shown).toContainText('cause 1');
  await shown.getByRole('button', { name: 'Close' }).click();
  expect(calls.pop()).toEqual(['GetDeadLetter', 'binding', { name: name(one) }]);

  await act('binding_device_retired', 'Replay');
  await expectToast(page, 'Not replayed: still broken');
  expect(calls.pop()).toEqual(['ReplayDeadLetters', 'binding', { names: [name(one)] }]);

  await act('notification_device_retired', 'Drop');
  const question = dialog(page, 'Drop this dead letter?');
  await question.getByLabel('Note').fill('a test device');
  letters = [one];
  await question.getByRole('button', { name: 'Drop' }).click();
  await expectToast(page, 'Dropped');
  expect(calls.pop()).toEqual(['DropDeadLetters', 'notification', { names: [name(two)], note: 'a test device' }]);
  await expect(page.getByRole('table', { name: 'Dead letters' }).getByText(/^cause/)).toHaveText(['cause 1']);

  answers.ReplayDeadLetters = { replayed: [{ outcome: 'REPLAY_OUTCOME_DONE' }] };
  await page.getByRole('button', { name: 'Replay all' }).click();
  letters = [];
  await dialog(page, 'Replay all dead letters?').getByRole('button', { name: 'Replay' }).click();
  await expectToast(page, 'Replayed');
  await expect(page.getByRole('table', { name: 'Dead letters' })).toHaveCount(0);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});
