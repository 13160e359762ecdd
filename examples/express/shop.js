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

// In production: NODKEY_URL, NODKEY_TOKEN, NODKEY_SECRET and the endpoint's secret from your configuration.
const dev = JSON.parse(readFileSync(process.env.NODKEY_DEV_JSON ?? '.nodkey/dev.json', 'utf8'));
const own = new URL(process.env.SHOP_URL ?? 'http://127.0.0.1:8000');
const party = dev.relying_party_id;
const nodkey = new Nodkey({ url: dev.http, ...dev.server });

/** @typedef {{user: string, to: string, amount: string, state: string, notified: boolean, evidence?: object}} Order a payment */
/** @typedef {{context: string, user?: string, pending?: string}} Visitor a browser; `pending`: what its phone was asked */
/** @typedef {import('@nodkey/server').NewTrusonafication} Prompt */
/** @type {Map<string, Visitor>} by their cookies */
const visitors = new Map();
/** @type {Map<string, Order>} by the ids of the trusonafications that ask for them */
const orders = new Map();
/** @type {Map<string, Visitor>} who took a name first */
const takers = new Map();
/** @type {Set<string>} */
const usedCodes = new Set();

const random = () => randomBytes(24).toString('base64url');
const refusal = (/** @type {number} */ status, /** @type {string} */ reason) => Object.assign(new Error(reason), { status, reason });

/** Text that a page sends, of this form. */
function text(/** @type {unknown} */ value, form = /^.{1,255}$/su) {
  if (typeof value !== 'string' || !form.test(value)) throw refusal(422, 'INVALID');
  return value;
}

/** Gives the browser a new cookie, which no other site can send and no script can read. */
function visit(/** @type {express.Response} */ response, /** @type {string | undefined} */ user) {
  const [cookie, visitor] = [random(), { context: random(), user }];
  visitors.set(cookie, visitor);
  response.cookie('visitor', cookie, { httpOnly: true, sameSite: 'strict', secure: own.protocol === 'https:' });
  return visitor;
}

/** Has a phone prompted for this browser and no other, and shows there where the call comes from. */
async function ask(/** @type {Visitor} */ visitor, /** @type {express.Request} */ { ip, headers }, /** @type {Prompt} */ prompt) {
  const requestContext = { address: ip, browser: headers['user-agent']?.slice(0, 255) };
  const { id, matchNumber } = await nodkey.trusonafications.create({ ...prompt, requestContext });
  visitor.pending = id;
  return { id, number: matchNumber };
}

/** Keeps how a payment ended, and the proof of one that is paid: what the phone signed. */
async function settle(/** @type {string} */ id, /** @type {Order} */ order, /** @type {{status: string}} */ ended) {
  if (!isSuccess(ended)) return void (order.state = ended.status.toLowerCase());
  const evidence = await nodkey.trusonafications.evidence(id);
  await verifyEvidence(evidence, { trusonafication: id, party, user: order.user, level: 2, maxAge: 86_400_000, jwks: nodkey.jwks });
  Object.assign(order, { state: 'paid', evidence });
}

// Receives webhooks while it runs. In production the endpoint stays, and its secret is in your configuration.
const eventTypes = ['accepted', 'rejected', 'expired', 'canceled'].map((end) => `trusonafication.${end}`);
const endpoint = await nodkey.endpoints.create({ url: `${own.origin}/nodkey`, eventTypes });
// A payment counts even if its browser is gone. The same webhook may come twice, and here that changes nothing.
const onResult = async (/** @type {import('@nodkey/server').WebhookResult} */ { receipt }) => {
  const order = orders.get(receipt.sub);
  if (order === undefined) return;
  await settle(receipt.sub, order, receipt);
  order.notified = true;
};
const app = express();
app.post('/nodkey', webhooks({ key: endpoint.secret, jwks: nodkey.jwks, relyingParty: party, onResult }));

// The page, which makes codes at the gateway.
const pages = path.join(import.meta.dirname, '../page');
const html = readFileSync(path.join(pages, 'index.html'), 'utf8');
const page = html.replaceAll('https://auth.example.com', dev.http).replaceAll('YOUR-RELYING-PARTY-ID', party);
app.get('/', (_request, response) => void response.type('html').send(page));
app.use(express.static(pages), express.json({ limit: '8kb' }), (request, response, next) => {
  const cookie = /(?:^|; )visitor=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
  Object.assign(response.locals, { cookie, visitor: visitors.get(cookie) ?? visit(response, undefined) });
  next();
});

app.get('/me', (_request, response) => {
  const { user = null } = response.locals.visitor;
  const mine = [...orders.values()].filter((order) => order.user === user);
  response.json({ user, orders: mine.map(({ to, amount, state, notified }) => ({ to, amount, state, notified })) });
});

// Prompts the phone that scanned the code of this browser. Each code is taken once.
app.post('/sign_in/code', async (request, response) => {
  const { visitor } = response.locals;
  const code = text(request.body?.code);
  if (usedCodes.has(code)) throw refusal(409, 'CODE_USED');
  usedCodes.add(code);
  if (request.body.new_name) {
    // Anybody may have a new name here. A real shop first makes sure who it is: whoever scanned is this user from now on.
    const user = text(request.body.new_name);
    const devices = await nodkey.users.devices(user);
    if (devices.length > 0 || (takers.get(user) ?? visitor) !== visitor) throw refusal(409, 'NAME_TAKEN');
    takers.set(user, visitor);
    const { identifier: device } = await nodkey.codes.pairing(code);
    await nodkey.bindings.activate((await nodkey.bindings.create({ user, device })).id);
  }
  response.json(await ask(visitor, request, { code, action: 'sign in', resource: 'the shop' }));
});

// Prompts the phones of a user, who types the number that this page shows: nobody accepts somebody else's sign-in.
app.post('/sign_in/name', async (request, response) => {
  const { visitor } = response.locals;
  const user = text(request.body?.name);
  const { context } = visitor;
  response.json(await ask(visitor, request, { user, action: 'sign in', resource: 'the shop', context, numberMatch: 'ENTER' }));
});

// Has the user confirm exactly this payment, with their presence, whatever the sign-in was.
app.post('/pay', async (request, response) => {
  const { user, context } = response.locals.visitor;
  if (user === undefined) throw refusal(401, 'NOT_SIGNED_IN');
  const payment = { to: text(request.body?.to, /^.{1,100}$/su), amount: text(request.body.amount, /^[0-9]{1,6}\.[0-9]{2} EUR$/) };
  const shown = { action: 'pay', resource: `${payment.amount} to ${payment.to}`, customFields: payment };
  const asked = await ask(response.locals.visitor, request, { user, ...shown, level: 2, context });
  orders.set(asked.id, { user, ...payment, state: 'waits for the phone', notified: false });
  response.json(asked);
});

// Waits for the answer to what this browser's phone was asked, 25 seconds at a time.
app.get('/result', async (_request, response) => {
  const { visitor } = response.locals;
  const id = visitor.pending;
  if (id === undefined) throw refusal(409, 'NOTHING_PENDING');
  const ended = await nodkey.trusonafications.wait(id, { timeout: 25_000 }).catch((error) => {
    if (error.reason !== 'DEADLINE_EXCEEDED') throw error;
    return undefined;
  });
  if (ended === undefined) return void response.json({ status: 'IN_PROGRESS' });
  // Once: another request of this browser may have had the answer, or asked for something else.
  if (visitor.pending !== id) throw refusal(409, 'NOTHING_PENDING');
  visitor.pending = undefined;
  const order = orders.get(id);
  if (order !== undefined) await settle(id, order, ended);
  // A new cookie, and a new visitor: nobody who knew the old one is signed in with it.
  else if (isSuccess(ended)) visit(response, ended.result?.boundUserIdentifier);
  response.json({ status: ended.status });
});

app.post('/sign_out', (_request, response) => {
  visitors.delete(response.locals.cookie);
  response.clearCookie('visitor').status(204).end();
});

// What Nodkey or the shop refused: pages compare the reason.
/** @type {express.ErrorRequestHandler} */
const refuse = (error, _request, response, next) => {
  const status = error instanceof NodkeyError ? (error.retryable ? 503 : 409) : error.status;
  if (response.headersSent || status === undefined) return next(error);
  response.status(status).json({ reason: error.reason ?? 'INVALID' });
};
app.use(refuse);

const server = app.listen(Number(own.port), own.hostname, () => console.log(`the shop is at ${own.origin}`));
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close();
    server.closeAllConnections();
    await nodkey.endpoints.delete(endpoint.id).finally(() => nodkey.close());
  });
}
