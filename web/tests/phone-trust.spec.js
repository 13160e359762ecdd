/** What the browser phone trusts, and what can be had of it. */

import { readFile } from 'node:fs/promises';

import {
  HANDHELD,
  accept,
  account,
  ask,
  choices,
  deviceOf,
  heading,
  join,
  openPhone,
  somebody,
  statuses,
  touch,
} from './support/acme.js';
import { authenticator, named } from './support/authenticator.js';
import { expect, test } from './support/test.js';

/** @typedef {{id: string, challenge: string}} Asked */

test.use({ viewport: HANDHELD });

test('no private key of the phone can be read out', async ({ page, server }) => {
  await openPhone(page, server);
  const keys = await page.evaluate(async () => {
    const { listAccounts } = await import(/** @type {any} */ ('/assets/phone/store.js'));
    const stored = await listAccounts();
    /** @type {CryptoKey[]} */
    const found = [];
    const look = (/** @type {unknown} */ value) => {
      if (value instanceof CryptoKey) found.push(value);
      else if (typeof value === 'object' && value) Object.values(value).forEach(look);
    };
    look(stored);
    const exported = (/** @type {CryptoKey} */ key) =>
      crypto.subtle.exportKey('jwk', key).then(
        () => true,
        () => false,
      );
    return Promise.all(
      found
        .filter(({ type }) => type !== 'public')
        .map(async (key) => ({ extractable: key.extractable, exported: await exported(key) })),
    );
  });
  // The device key and the presence key.
  expect(keys).toEqual(Array(2).fill({ extractable: false, exported: false }));
});

for (const path of [
  '//evil.example/demo/api/enrolments/x',
  'https://evil.example/demo/api/enrolments/x',
  '/demo/api/enrolments/../../../evil',
  '/demo/api/enrolments/x?y=/evil',
  '/demo/api/enrolments/x/evil',
  '/api/v2/evil',
]) {
  test(`a link that names ${path} for an invitation is none, and nothing is asked there`, async ({ page, server }) => {
    /** @type {string[]} */
    const asked = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(`${server.url}/demo/phone#enrol=${encodeURIComponent(path)}`);
    await expect(page.getByText('This link is not an invitation.')).toBeVisible();
    expect(asked.filter((url) => /evil|\/api\//.test(url))).toEqual([]);
    expect(page.url()).toBe(`${server.url}/demo/phone`);
  });
}

test('an invitation that is over is refused', async ({ page, server }) => {
  await page.goto(`${server.url}/demo/phone#enrol=/demo/api/enrolments/over`);
  await expect(page.getByText('This invitation was used, or has run out.')).toBeVisible();
});

/** @type {Record<string, (asked: Asked) => Asked>} */
const TAMPERED = {
  'whose text was changed': ({ id, challenge }) => ({ id, challenge: withClaims(challenge, { act: 'pay Mallory' }) }),
  'under the id of another': ({ challenge }) => ({ id: '01a21400-0000-7000-8000-000000000000', challenge }),
  'without a signature': ({ id, challenge }) => ({ id, challenge: challenge.replace(/[^.]+$/, '') }),
  'that names no algorithm': ({ id, challenge }) => ({ id, challenge: withHeader(challenge, { alg: 'none' }) }),
};

for (const [which, tamper] of Object.entries(TAMPERED)) {
  test(`a challenge ${which} is not shown, and the true one is`, async ({ page, server }) => {
    const user = await openPhone(page, server);
    await page.goto('about:blank');
    await ask(server, user, 'pay Grace');
    await page.route('**/devices/*/trusonafications', async (route) => {
      const data = JSON.stringify(tamper(await firstOf(route)));
      await route.fulfill({ contentType: 'text/event-stream', body: `event: trusonafication\ndata: ${data}\n\n` });
    });
    await page.goto(`${server.url}/demo/phone`);
    await expect(page.getByText('A request was not shown')).toBeVisible();
    await expect(page.getByText(/Mallory|pay Grace/)).toHaveCount(0);
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await expect(heading(page, 'pay Grace')).toBeVisible();
  });
}

test('a challenge of another deployment is not shown', async ({ page, server }) => {
  const vectors = JSON.parse(await readFile(new URL('../../tests/vectors/mobile-v1.json', import.meta.url), 'utf8'));
  await openPhone(page, server);
  const { jws: challenge, claims } = vectors.challenge;
  const data = JSON.stringify({ id: claims.jti, challenge });
  await page.route('**/devices/*/trusonafications', (route) =>
    route.fulfill({ contentType: 'text/event-stream', body: `event: trusonafication\ndata: ${data}\n\n` }),
  );
  await page.reload();
  await expect(page.getByText('A request was not shown')).toBeVisible();
  await expect(page.getByText(claims.act)).toHaveCount(0);
});

test('the device’s own check of its user guards the presence key, and one it does not confirm is no answer', async ({
  page,
  server,
}) => {
  const verify = await authenticator(page);
  const user = somebody();
  await page.goto(`${named(server)}/demo/phone`);
  await expect(page.getByLabel('Check my fingerprint, face or PIN')).toBeChecked();
  await join(page, user);

  await verify(false);
  const { match_number: number } = await ask(server, user, 'log in', '--number-match', 'choose');
  await choices(page).filter({ hasText: number }).click();
  await expect(page.getByText('Your device did not confirm that it is you.')).toBeVisible();
  expect(await statuses(server, user)).toEqual(['IN_PROGRESS']);

  await verify(true);
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
});

test('what guards the presence key can be changed, and the phone says which it is', async ({ page, server }) => {
  await authenticator(page);
  const user = somebody();
  await page.goto(`${named(server)}/demo/phone`);
  await page.getByLabel('Check my fingerprint, face or PIN').uncheck();
  await join(page, user);
  await account(page, user, 'Ready').click();
  await expect(page.getByText('You press a button, which verifies nobody.')).toBeVisible();
  await page.getByRole('button', { name: 'Use this device’s fingerprint, face or PIN' }).click();
  await expect(page.getByText('This device checks your fingerprint, face or PIN.')).toBeVisible();
  await page.getByRole('button', { name: 'Back' }).click();
  await ask(server, user, 'open the door');
  await page.getByRole('button', { name: 'Accept' }).click();
  await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
});

test('a prompt by a key that took another’s place a moment ago is shown, not distrusted', async ({ page, server }) => {
  const user = await openPhone(page, server);
  for (const action of ['open the door', 'open the window']) {
    // The phone, and the browser’s cache, know the key before.
    await server.admin('keys', 'rotate', '--owner', 'trusonafication', '--now', '--yes');
    await ask(server, user, action);
    await expect(heading(page, action)).toBeVisible();
    await accept(page);
    await expect.poll(async () => (await statuses(server, user))[0]).toBe('ACCEPTED');
  }
  await expect(page.getByText('A request was not shown')).toHaveCount(0);
});

test('what is not to be shown is accepted without a question, after the person confirmed where that is wanted', async ({
  page,
  server,
}) => {
  const user = await openPhone(page, server);
  await ask(server, user, 'print', '--prompt', 'false', '--level', '1', '--user-presence', 'false');
  await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
  await expect(heading(page, 'Your accounts')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Accept' })).toHaveCount(0);

  await ask(server, user, 'print in colour', '--prompt', 'false');
  await expect(heading(page, 'Confirm that it is you')).toBeVisible();
  await touch(page);
  await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED', 'ACCEPTED']);
  await expect(heading(page, 'Your accounts')).toBeVisible();

  // Whoever does not confirm can say why.
  await ask(server, user, 'print it all', '--prompt', 'false');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(heading(page, 'print it all')).toBeVisible();
  await page.getByRole('button', { name: 'I did not start this' }).click();
  await expect.poll(async () => (await statuses(server, user))[0]).toBe('REJECTED');
});

test('what ended while the phone was away is gone when it is back', async ({ page, server }) => {
  const user = await openPhone(page, server);
  await page.goto('about:blank');
  const { id } = await ask(server, user, 'open the door');
  let body = '';
  // Each stream has this and ends.
  await page.route('**/devices/*/trusonafications', async (route) => {
    body ||= `event: trusonafication\ndata: ${JSON.stringify(await firstOf(route))}\n\nevent: synced\ndata: {}\n\n`;
    await route.fulfill({ contentType: 'text/event-stream', body });
  });
  await page.goto(`${server.url}/demo/phone`);
  await expect(heading(page, 'open the door')).toBeVisible();
  await server.admin('trusonafications', 'cancel', id);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await expect(heading(page, 'No longer pending')).toBeVisible();
});

test('an answer is signed by the device it says', async ({ page, server }) => {
  const user = await openPhone(page, server);
  const { id } = await ask(server, user, 'open the door');
  await page.getByRole('button', { name: 'I did not start this' }).click();
  await expect.poll(() => statuses(server, user)).toEqual(['REJECTED']);
  const { response } = await server.admin('trusonafications', 'evidence', id);
  const claims = JSON.parse(Buffer.from(response.split('.')[1], 'base64url').toString());
  expect(claims).toMatchObject({ iss: await deviceOf(server, user), sub: id, dec: 'reject', why: 'not_me' });
});

/**
 * What a stream would bring first: by long poll, which comes to an end.
 * @param {import('@playwright/test').Route} route
 * @returns {Promise<Asked>}
 */
async function firstOf(route) {
  const headers = { ...route.request().headers(), accept: 'application/json' };
  const { trusonafications } = await (await route.fetch({ headers })).json();
  return trusonafications[0];
}

/**
 * @param {string} jws
 * @param {object} more
 */
function withClaims(jws, more) {
  const [header, claims, signature] = jws.split('.');
  return [header, changed(claims, more), signature].join('.');
}

/**
 * @param {string} jws
 * @param {object} more
 */
function withHeader(jws, more) {
  const [header, claims, signature] = jws.split('.');
  return [changed(header, more), claims, signature].join('.');
}

/**
 * @param {string} part
 * @param {object} more
 */
function changed(part, more) {
  const value = JSON.parse(Buffer.from(part, 'base64url').toString());
  return Buffer.from(JSON.stringify({ ...value, ...more })).toString('base64url');
}
