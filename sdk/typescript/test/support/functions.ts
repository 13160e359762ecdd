/** The functions of sdk/spec/server.json, with the names and forms that the vectors and the conformance program use. */

import { createHmac, timingSafeEqual } from 'node:crypto';

import {
  bearerToken,
  hashUserIdentifier,
  verifyDeviceIdentifier,
  verifyEvidence,
  verifyReceipt,
  verifyResult,
  verifyWebhook,
  type Evidence,
  type Jwks,
  type Level,
} from '../../src/index.js';

/** Members by their names. */
export type Params = Readonly<Record<string, unknown>>;

/** The members of `expected`, of evidence. */
interface Expected {
  readonly outcome?: 'accept' | 'rejection' | 'any';
  readonly trusonafication?: string;
  readonly party?: string;
  readonly user?: string;
  readonly device?: string;
  readonly level?: Level;
  readonly max_age_seconds?: number;
  readonly allow_uncertified?: boolean;
}

/** Calls a function by its name; returns what the vectors expect as `ok`. Refuses a parameter that it does not know. */
export async function callFunction(name: string, params: Params): Promise<unknown> {
  const call = FUNCTIONS[name];
  if (call === undefined) throw new Error(`there is no function ${name}`);
  const rest = new Set(Object.keys(params));
  const take = (parameter: string): unknown => {
    rest.delete(parameter);
    return params[parameter];
  };
  const result = call({
    text: (parameter) => take(parameter) as string,
    optional: take,
    jwks: () => take('jwks') as Jwks,
    now: () => new Date(Number(take('now')) * 1000),
  });
  if (rest.size > 0) throw new Error(`${name} has no ${[...rest].join(', ')}`);
  return await result;
}

interface Reader {
  readonly text: (name: string) => string;
  readonly optional: (name: string) => unknown;
  readonly jwks: () => Jwks;
  readonly now: () => Date;
}

const FUNCTIONS: Readonly<Record<string, (read: Reader) => unknown>> = {
  bearer_token({ text, now }) {
    const secret = text('secret');
    const token = bearerToken({ token: text('token'), secret, audience: text('audience'), now: now() });
    const [header = '', claims = '', tag = ''] = token.split('.');
    const expected = createHmac('sha256', secret).update(`${header}.${claims}`).digest();
    if (!timingSafeEqual(Buffer.from(tag, 'base64url'), expected)) throw new Error('not signed by the secret');
    const read = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());
    return { header: read(header), claims: read(claims) };
  },
  async verify_webhook({ text, optional, jwks, now }) {
    const base64 = optional('body_base64');
    const webhook = await verifyWebhook({
      key: text('key'),
      headers: optional('headers') as Record<string, string>,
      body: typeof base64 === 'string' ? Buffer.from(base64, 'base64') : text('body'),
      jwks: jwks(),
      relyingParty: text('relying_party'),
      now: now(),
    });
    const { dataJson, ...members } = webhook;
    return { ...members, data_json: dataJson };
  },
  async verify_result({ text, jwks }) {
    return {
      claims: await verifyResult(text('jwt'), {
        jwks: jwks(),
        issuer: text('issuer'),
        relyingParty: text('relying_party'),
      }),
    };
  },
  async verify_receipt({ text, jwks }) {
    return { claims: await verifyReceipt(text('jwt'), { jwks: jwks() }) };
  },
  async verify_evidence({ optional, jwks, now }) {
    const { max_age_seconds, allow_uncertified, outcome, trusonafication, party, user, device, level, ...unknown } =
      (optional('expected') ?? {}) as Expected;
    if (Object.keys(unknown).length > 0) throw new Error(`nothing expects ${Object.keys(unknown).join(', ')}`);
    const expected = {
      ...{ outcome, trusonafication, party, user, device, level, allowUncertified: allow_uncertified },
      maxAge: max_age_seconds === undefined ? undefined : max_age_seconds * 1000,
    };
    const { receipt, certification } = await verifyEvidence(optional('evidence') as Evidence, {
      jwks: jwks(),
      now: now(),
      ...expected,
    });
    return { receipt, certification };
  },
  async verify_device_identifier({ text, jwks, now }) {
    const options = { jwks: jwks(), issuer: text('issuer'), relyingParty: text('relying_party'), now: now() };
    return { claims: await verifyDeviceIdentifier(text('jwt'), options) };
  },
  hash_user_identifier({ text }) {
    return { hash: hashUserIdentifier(Buffer.from(text('key'), 'base64url'), text('user_identifier')) };
  },
};
