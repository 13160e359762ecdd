/**
 * A small shop: sign in by a secure QR code or by name, confirm payments on the phone, receive webhooks. README.md says how to run it.
 *
 * What is kept is in memory, for one process. The browser has a cookie, and the shop a visitor for each.
 */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';

import express from 'express';
import { isSuccess, Nodkey, NodkeyError, verifyEvidence } from '@nodkey/server';
import { webhooks } from '@nodkey/server/express';
import { encodeQR } from 'qr';

// In production: NODKEY_URL, NODKEY_TOKEN, NODKEY_SECRET and the endpoint's secret from your configuration.
const dev = JSON.parse(readFileSync(process.env.NODKEY_DEV_JSON ?? '.nodkey/dev.json', 'utf8'));
const ownUrl = process.env.SHOP_URL ?? 'http://127.0.0.1:8000';
const nodkey = new Nodkey({ url: dev.http, ...dev.server });

/**
 * A browser. `pending` is what its phone was asked, and nobody else's answer counts.
 * @typedef {{context: string, user?: string, pending?: string | undefined}} Visitor
 */
/**
 * A payment that a user was asked to confirm.
 * @typedef {{user: string, to: string, amount: string, paid: boolean, notified: boolean, evidence?: object}} Order
 */
/** @type {Map<string, Visitor>} */
const visitors = new Map();
/** @type {Map<string, Order>} */
const orders = new Map();
/** @type {Set<string>} */
const usedCodes = new Set();

/** What the shop itself refuses. */
class Refused extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ reason) {
    super(reason);
    this.status = status;
  }
}

/**
 * Gives the browser a new cookie, which no other site can send and no script can read.
 * @param {express.Response} response
 * @param {Visitor} visitor
 */
function visit(response, visitor) {
  const cookie = randomBytes(32).toString('base64url');
  visitors.set(cookie, visitor);
  response.cookie('visitor', cookie, { httpOnly: true, sameSite: 'strict', secure: ownUrl.startsWith('https:') });
  return visitor;
}

const cookieOf = (/** @type {express.Request} */ request) =>
  /(?:^|; )visitor=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';

/**
 * Who calls.
 * @param {express.Request} request
 * @param {express.Response} response
 */
function visitorOf(request, response) {
  return visitors.get(cookieOf(request)) ?? visit(response, { context: randomBytes(12).toString('base64url') });
}

/**
 * Where the call comes from: the phone shows it.
 * @param {express.Request} request
 */
const contextOf = (request) => ({ address: request.ip, browser: request.get('user-agent')?.slice(0, 255) });

/**
 * Text that a page sends, of at most so many characters.
 * @param {unknown} value
 * @param {RegExp} form
 */
function text(value, form = /^.{1,255}$/su) {
  if (typeof value !== 'string' || !form.test(value)) throw new Refused(422, 'INVALID');
  return value;
}

/**
 * Keeps the proof of a payment, once it is one.
 * @param {string} id
 * @param {Order} order
 */
async function settle(id, order) {
  const evidence = await nodkey.trusonafications.evidence(id);
  const expected = { trusonafication: id, party: dev.relying_party_id, user: order.user, maxAge: 24 * 60 * 60 * 1000 };
  await verifyEvidence(evidence, { ...expected, jwks: nodkey.jwks, level: 2 });
  Object.assign(order, { paid: true, evidence });
}

// Receives webhooks while it runs. In production the endpoint stays, and its secret is in your configuration.
const endpoint = await nodkey.endpoints.create({ url: `${ownUrl}/nodkey`, eventTypes: ['trusonafication.accepted'] });
const app = express();

app.post(
  '/nodkey',
  webhooks({
    key: endpoint.secret,
    jwks: nodkey.jwks,
    relyingParty: dev.relying_party_id,
    // A payment counts even if its browser is gone. The same webhook may come twice, and here that changes nothing.
    async onResult({ receipt }) {
      const order = orders.get(receipt.sub);
      if (order === undefined || !isSuccess(receipt)) return;
      order.notified = true;
      if (!order.paid) await settle(receipt.sub, order);
    },
  }),
);
app.use(express.json({ limit: '8kb' }));

// What the page needs to make codes at the gateway.
app.get('/config', (_request, response) => {
  response.json({ gateway: dev.http, relying_party: dev.relying_party_id });
});

app.get('/qr.svg', (request, response) => {
  response.type('svg').send(encodeQR(text(request.query['payload'], /^.{1,2000}$/su), 'svg', { ecc: 'low' }));
});

app.get('/me', (request, response) => {
  const { user } = visitorOf(request, response);
  const mine = [...orders.values()].filter((order) => order.user === user);
  response.json({
    user: user ?? null,
    orders: mine.map(({ to, amount, paid, notified }) => ({ to, amount, paid, notified })),
  });
});

// Asks the phone that scanned the code of this browser. Each code is taken once.
app.post('/sign_in/code', async (request, response) => {
  const visitor = visitorOf(request, response);
  const code = text(request.body.code);
  if (usedCodes.has(code)) throw new Refused(409, 'CODE_USED');
  usedCodes.add(code);
  if (request.body.new_name) {
    // Anybody may have a new name here. A real shop first makes sure who it is: whoever scanned is this user from now on.
    const user = text(request.body.new_name);
    if ((await nodkey.users.devices(user)).length > 0) throw new Refused(409, 'NAME_TAKEN');
    const { identifier: device } = await nodkey.codes.pairing(code);
    await nodkey.bindings.activate((await nodkey.bindings.create({ user, device })).id);
  }
  const shown = { action: 'sign in', resource: 'the shop', requestContext: contextOf(request) };
  const asked = await nodkey.trusonafications.create({ code, ...shown });
  visitor.pending = asked.id;
  response.json({ number: asked.matchNumber });
});

// Asks every phone of a user. The page shows the number, if there is one, so that nobody accepts somebody else's sign-in.
app.post('/sign_in/name', async (request, response) => {
  const visitor = visitorOf(request, response);
  const shown = {
    action: 'sign in',
    resource: 'the shop',
    context: visitor.context,
    requestContext: contextOf(request),
  };
  const asked = await nodkey.trusonafications.create({ user: text(request.body.name), ...shown });
  visitor.pending = asked.id;
  response.json({ number: asked.matchNumber });
});

// Asks the user to confirm exactly this payment, with their presence, whatever the sign-in was.
app.post('/pay', async (request, response) => {
  const visitor = visitorOf(request, response);
  const { user, context } = visitor;
  if (user === undefined) throw new Refused(401, 'NOT_SIGNED_IN');
  const payment = {
    to: text(request.body.to, /^.{1,100}$/su),
    amount: text(request.body.amount, /^[0-9]{1,6}\.[0-9]{2} EUR$/),
  };
  const shown = { action: 'pay', resource: `${payment.amount} to ${payment.to}`, customFields: payment };
  const asked = await nodkey.trusonafications.create({
    user,
    ...shown,
    level: 2,
    context,
    requestContext: contextOf(request),
  });
  visitor.pending = asked.id;
  orders.set(asked.id, { user, ...payment, paid: false, notified: false });
  response.json({ number: asked.matchNumber });
});

// Waits for the answer to what this browser's phone was asked, 25 seconds at a time.
app.get('/result', async (request, response) => {
  const visitor = visitorOf(request, response);
  const { pending } = visitor;
  if (pending === undefined) throw new Refused(409, 'NOTHING_PENDING');
  const ended = await nodkey.trusonafications.wait(pending, { timeout: 25_000 }).catch((error) => {
    if (error.reason !== 'DEADLINE_EXCEEDED') throw error;
  });
  if (ended === undefined) return void response.json({ status: 'IN_PROGRESS' });
  if (visitor.pending !== pending) throw new Refused(409, 'NOTHING_PENDING');
  visitor.pending = undefined;
  const order = orders.get(pending);
  if (isSuccess(ended) && order !== undefined) await settle(pending, order);
  // A new cookie, and a new visitor: nobody who knew the old one is signed in with it.
  else if (isSuccess(ended) && ended.result !== undefined) {
    visit(response, { context: randomBytes(12).toString('base64url'), user: ended.result.boundUserIdentifier });
  }
  response.json({ status: ended.status });
});

app.post('/sign_out', (request, response) => {
  visitors.delete(cookieOf(request));
  response.clearCookie('visitor').status(204).end();
});

app.use(express.static(path.join(import.meta.dirname, 'page')));

// What Nodkey or the shop refused: pages compare the reason.
app.use(
  (
    /** @type {unknown} */ error,
    /** @type {express.Request} */ _request,
    /** @type {express.Response} */ response,
    /** @type {express.NextFunction} */ next,
  ) => {
    if (error instanceof Refused) response.status(error.status).json({ reason: error.message });
    else if (error instanceof NodkeyError) response.status(error.retryable ? 503 : 409).json({ reason: error.reason });
    else next(error);
  },
);

const { hostname, port } = new URL(ownUrl);
const server = app.listen(Number(port), hostname, () => {
  console.log(`the shop is at ${ownUrl}`);
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await nodkey.endpoints.delete(endpoint.id);
    nodkey.close();
    server.close();
    server.closeAllConnections();
  });
}
