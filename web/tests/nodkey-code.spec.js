/** `<nodkey-code>` on a page of another origin: codes, what is scanned, and what goes wrong. */

import {
  CODES,
  STATUS,
  created,
  credentials,
  documented,
  freeze,
  heard,
  image,
  markup,
  open,
  readCode,
  registeredPhone,
  see,
  settle,
  state,
  status,
  test,
} from './support/nodkey_code.js';
import { Receiver } from './support/receiver.js';
import { strictPolicy } from './support/shop.js';
import { expect } from './support/test.js';

test.describe('a page of another origin, as strict as one can be', () => {
  for (const document of ['sdk/web/README.md', 'docs/guides/secure-qr.md']) {
    test(`${document}: its page hands the id of the scanned code to its backend`, async ({ page, server, shop }) => {
      shop.serve(await documented(new URL(`../../${document}`, import.meta.url), server), strictPolicy(server.url));
      await page.goto(shop.url);
      const phone = await registeredPhone(server);
      const scanned = await phone.scan(await readCode(image(page)));
      expect(scanned.origin).toBe(shop.url);
      await phone.pair(scanned);
      await expect(page).toHaveTitle('Welcome');
      expect(shop.posts).toHaveLength(1);
      expect([...shop.posts[0].keys()]).toEqual(['trucode_id']);
      // The backend learns by it who scanned: this phone, which is nobody's yet.
      const login = ['--trucode', String(shop.posts[0].get('trucode_id')), '--action', 'log in', '--resource', 'Shop'];
      await expect(server.admin('trusonafications', 'create', ...login)).rejects.toThrow(
        'DEVICE_HAS_NO_ACTIVE_BINDING',
      );
    });
  }

  test('what was scanned is an event, too, and a page that prevents it submits nothing', async ({
    page,
    server,
    shop,
  }) => {
    const attributes = 'name="trucode_id"';
    shop.serve(
      (await markup(server, { attributes })).replace(/<nodkey-code.*<\/nodkey-code>/, '<form method="post">$&</form>'),
      `${strictPolicy(server.url)}; style-src 'unsafe-inline'`,
    );
    await page.goto(shop.url);
    const paired = page.evaluate(
      () =>
        new Promise((resolve) => {
          addEventListener('nodkey-paired', (event) => {
            event.preventDefault();
            resolve(/** @type {CustomEvent} */ (event).detail);
          });
        }),
    );
    const phone = await registeredPhone(server);
    await phone.pair(await phone.scan(await readCode(image(page))));
    const { id } = /** @type {{id: string}} */ (await paired);
    await expect(status(page)).toHaveText('Scanned. Continue on your phone.');
    const given = await page.evaluate(() => new FormData(document.forms[0]).get('trucode_id'));
    expect([given, shop.posts.length]).toEqual([id, 0]);
    // A form that is reset offers another code.
    await page.evaluate(() => document.forms[0].reset());
    await expect(image(page)).toBeVisible();
    expect(await page.evaluate(() => new FormData(document.forms[0]).get('trucode_id'))).toBeNull();
  });
});

test.describe('codes follow one another', () => {
  test('the next is there before the last is over, and that one can still be scanned', async ({
    page,
    server,
    shop,
  }) => {
    await page.clock.install();
    await open(page, shop, server);
    const first = await readCode(image(page));
    await freeze(page);
    await page.clock.fastForward(36_000);
    await settle(page, server);
    expect(await readCode(image(page))).toBe(first);
    await page.clock.fastForward(4000);
    await expect.poll(() => readCode(image(page))).not.toBe(first);
    const phone = await registeredPhone(server);
    await phone.pair(await phone.scan(first));
    await expect(status(page)).toHaveText('Scanned. Continue on your phone.');
    const [shown] = await heard(page, 'shown');
    expect(await heard(page, 'paired')).toEqual([{ id: shown.id }]);
  });

  for (const hours of [-5, 5]) {
    test(`as often on a machine whose clock is ${hours} hours off`, async ({ page, server, shop }) => {
      const count = created(page);
      await page.clock.install({ time: Date.now() + hours * 3_600_000 });
      await open(page, shop, server);
      await expect(image(page)).toBeVisible();
      await freeze(page);
      await page.clock.runFor(30_000);
      await settle(page, server);
      expect(count.codes).toBe(1);
      await page.clock.runFor(11_000);
      await expect.poll(async () => (await heard(page, 'shown')).length).toBe(2);
      expect(count.codes).toBe(2);
    });
  }

  test('not while nobody sees the page, and at once when somebody does', async ({ page, server, shop }) => {
    const count = created(page);
    await page.clock.install();
    await open(page, shop, server);
    await expect(image(page)).toBeVisible();
    await see(page, false);
    await page.clock.runFor(120_000);
    await settle(page, server);
    expect([count.codes, await state(page)]).toEqual([1, 'loading']);
    await see(page, true);
    await expect.poll(() => state(page)).toBe('ready');
    expect(count.codes).toBe(2);
  });

  test('not after the element was removed', async ({ page, server, shop }) => {
    const count = created(page);
    await page.clock.install();
    await open(page, shop, server);
    await expect(image(page)).toBeVisible();
    const ended = page.waitForEvent('requestfailed', (request) => STATUS.test(request.url()));
    await page.locator('nodkey-code').evaluate((code) => code.remove());
    await ended;
    await page.clock.runFor(120_000);
    await settle(page, server);
    expect(count.codes).toBe(1);
  });

  test('a code that the gateway no longer knows is replaced, but not faster than somebody could scan', async ({
    page,
    server,
    shop,
  }) => {
    const count = created(page);
    await page.clock.install();
    const headers = { 'access-control-allow-origin': '*' };
    await page.route(STATUS, (route) => route.fulfill({ status: 404, json: { error: 'NOT_FOUND' }, headers }));
    await open(page, shop, server);
    await expect(image(page)).toBeVisible();
    await freeze(page);
    await page.clock.runFor(3000);
    await settle(page, server);
    expect(count.codes).toBe(1);
    await page.clock.runFor(3000);
    await expect.poll(async () => (await heard(page, 'shown')).length).toBe(2);
    expect(count.codes).toBe(2);
  });

  test('a gateway that restarts, and answers before the code is over, loses no scan', async ({
    page,
    server,
    shop,
  }) => {
    let early = 0;
    await page.route(STATUS, async (route) => {
      early += 1;
      if (early > 2) return route.continue();
      const id = route.request().url().split('/').at(-1);
      const headers = { 'access-control-allow-origin': '*' };
      await (early === 1 ? route.fulfill({ json: { id, paired: false }, headers }) : route.abort());
    });
    await open(page, shop, server);
    const phone = await registeredPhone(server);
    await phone.pair(await phone.scan(await readCode(image(page))));
    await expect(status(page)).toHaveText('Scanned. Continue on your phone.');
    expect([early >= 3, await heard(page, 'error')]).toEqual([true, []]);
  });
});

test.describe('what goes wrong', () => {
  test('without a network it says so, and goes on when there is one', async ({ page, server, shop }) => {
    await page.clock.install();
    await open(page, shop, server);
    await expect(image(page)).toBeVisible();
    await page.context().setOffline(true);
    await page.locator('nodkey-code').evaluate((/** @type {any} */ code) => code.restart());
    await expect(status(page)).toHaveText('You are offline. A code appears once you are online again.');
    expect(await heard(page, 'error')).toEqual([
      { code: 'OFFLINE', message: 'the browser is offline', status: 0, retryAfter: 0, retrying: true },
    ]);
    // It goes on with the network, and waits for no time to pass.
    await freeze(page);
    await expect(settle(page, server)).rejects.toThrow('Failed to fetch');
    await page.clock.runFor(50);
    await page.context().setOffline(false);
    await expect(image(page)).toBeVisible();
    await expect(status(page)).toHaveText('Scan the code with your phone.');
  });

  test('a connection that breaks while a code is shown is said to be lost until it is held again', async ({
    page,
    server,
    shop,
  }) => {
    let broken = 0;
    await page.clock.install();
    await page.route(STATUS, (route) => {
      broken += 1;
      return broken > 2 ? route.continue() : route.abort();
    });
    await page.route('**/sdk/nodkey-code.json', (route) => route.abort());
    await open(page, shop, server);
    await expect(status(page)).toHaveText('The code cannot be fetched right now. Trying again…');
    await expect.poll(() => broken).toBe(3);
    await page.clock.runFor(4000);
    await expect(status(page)).toHaveText('Scan the code with your phone.');
    expect((await heard(page, 'error')).map(({ code }) => code)).toEqual(['UNREACHABLE']);
  });

  test('a code stays while a gateway cannot be reached, until it is over', async ({ page, server, shop }) => {
    await page.clock.install();
    await open(page, shop, server);
    const first = await readCode(image(page));
    await page.route(/\/(api|sdk)\//, (route) => route.abort());
    await page.clock.runFor(41_000);
    await expect(status(page)).toHaveText('The code cannot be fetched right now. Trying again…');
    expect([await readCode(image(page)), await state(page)]).toEqual([first, 'ready']);
    await page.clock.runFor(15_000);
    await expect.poll(() => state(page)).toBe('loading');
    expect((await heard(page, 'error')).map(({ code }) => code)).toEqual(['UNREACHABLE']);
    await page.unrouteAll();
    await page.clock.runFor(30_000);
    await expect.poll(() => state(page)).toBe('ready');
  });

  test('who is limited waits as long as the gateway says', async ({ page, server, shop }) => {
    const headers = {
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'retry-after',
      'retry-after': '30',
    };
    const count = created(page);
    await page.clock.install();
    await page.route(CODES, (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      return route.fulfill({ status: 429, headers, json: { error: 'RATE_LIMITED', message: 'too many requests' } });
    });
    await open(page, shop, server);
    await expect(status(page)).toContainText('Too many codes were requested from your network.');
    expect(await heard(page, 'error')).toEqual([
      { code: 'RATE_LIMITED', message: 'too many requests', status: 429, retryAfter: 30_000, retrying: true },
    ]);
    await freeze(page);
    await page.clock.runFor(28_000);
    await settle(page, server);
    expect(count.codes).toBe(1);
    await page.unrouteAll();
    await page.clock.runFor(4000);
    await expect(image(page)).toBeVisible();
    expect(count.codes).toBe(2);
  });

  test('a policy that does not allow the gateway is named', async ({ browser, server, shop }) => {
    // In a context whose pages may complain: the browser does, of the policy.
    const page = await browser.newPage();
    await open(page, shop, server, { policy: `default-src 'none'; script-src ${server.url}` });
    await expect(page.getByRole('alert')).toContainText('No code can be shown here.');
    const [{ code, message, retrying }] = await heard(page, 'error');
    expect([code, retrying]).toEqual(['BLOCKED_BY_CSP', false]);
    expect(message).toContain('connect-src');
    await page.close();
  });

  test('something that answers in the gateway’s place is told from a gateway that is down', async ({
    browser,
    server,
    shop,
  }) => {
    const page = await browser.newPage();
    const proxy = await Receiver.start();
    proxy.answer = { status: 502, body: 'Bad Gateway' };
    const policy = strictPolicy(server.url).replace('connect-src', `connect-src ${proxy.url}/`);
    await open(page, shop, server, { attributes: `gateway="${proxy.url}"`, policy });
    await expect(status(page)).toHaveText('The code cannot be fetched right now. Trying again…');
    const codes = async () => (await heard(page, 'error')).map(({ code, retrying }) => [code, retrying]);
    expect(await codes()).toEqual([['BLOCKED_BY_CORS', true]]);
    await proxy.stop();
    await expect.poll(codes).toEqual([
      ['BLOCKED_BY_CORS', true],
      ['UNREACHABLE', true],
    ]);
    await page.close();
  });

  test('a page whose origin may show no codes says so, and the button tries again', async ({ page, server, shop }) => {
    const origins = (/** @type {string} */ origin) =>
      server.admin('relying-parties', 'update', '--allowed-origin', origin);
    await origins('https://shop.example.com');
    try {
      await open(page, shop, server);
      await expect(page.getByRole('alert')).toContainText('No code can be shown here.');
      expect((await heard(page, 'error')).map(({ code, status: http }) => [code, http])).toEqual([
        ['ORIGIN_NOT_ALLOWED', 403],
      ]);
    } finally {
      await origins('any');
    }
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect(image(page)).toBeVisible();
  });

  test('attributes that lead nowhere are named', async ({ page, server, shop }) => {
    await open(page, shop, server, { attributes: 'gateway="gateway:"' });
    await expect(page.getByRole('alert')).toBeVisible();
    await page.locator('nodkey-code').evaluate((code) => code.removeAttribute('gateway'));
    await page.locator('nodkey-code').evaluate((code) => code.setAttribute('relying-party', 'shop'));
    const messages = (await heard(page, 'error')).map(({ code, message }) => `${code}: ${message}`);
    expect(messages).toContain('INVALID_CONFIGURATION: gateway is not the URL of a gateway: gateway:');
    expect(messages).toContain('INVALID_CONFIGURATION: relying-party is not the id of a relying party: shop');
    const { relying_party_id: party } = await credentials(server);
    await page.locator('nodkey-code').evaluate(
      (code, [url, id]) => {
        code.setAttribute('gateway', `${url}/`);
        code.setAttribute('relying-party', id);
      },
      [server.url, party],
    );
    await expect(image(page)).toBeVisible();
  });
});
