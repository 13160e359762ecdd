/** What can be verified without a connection, or with the client's cache of keys. */

import { createHmac } from 'node:crypto';

import { base64url } from './base64.js';
import { VerificationError } from './error.js';
import { isEvidence, readEvidence, type Evidence, type Expected, type VerifiedEvidence } from './evidence.js';
import type { Jwks } from './jwk.js';
import { readDeviceIdentifier, readResult, type DeviceClaims, type ResultClaims } from './jwt.js';
import { readReceipt, type Receipt } from './receipt.js';
import { readWebhook, verifyRequest, type Webhook, type WebhookHeaders } from './webhook.js';

/**
 * The keys of the deployment, as the verifier knows them; never keys that came with what is verified. A document that you keep, or
 * `nodkey.jwks`: then a key that is not in its cache is looked up, once.
 */
export type Keys = Jwks | KeySource;

/** Where keys come from: `nodkey.jwks`. */
export interface KeySource {
  /** Returns the keys; with `fresh` past any cache. */
  get(options?: { readonly fresh?: boolean }): Promise<Jwks>;
}

/** What every verification needs. */
export interface VerifyOptions {
  /** The keys of the deployment. */
  readonly jwks: Keys;
  /** The time; default: the system's. */
  readonly now?: Date | undefined;
}

/** What the verification of evidence needs, and what you expect of it. */
export interface EvidenceOptions extends VerifyOptions, Expected {}

/** For whom a JWT has to be. */
export interface TokenOptions extends VerifyOptions {
  /** The public URL of the deployment, exactly as `iss` has it. */
  readonly issuer: string;
  /** The id of your relying party. */
  readonly relyingParty: string;
}

/** A request to a webhook endpoint, and what it is verified with. */
export interface WebhookOptions extends VerifyOptions {
  /** The secret of the endpoint (`whsec_`), or its public key (`whpk_`). */
  readonly key: string;
  /** The headers of the request. */
  readonly headers: WebhookHeaders;
  /** The body as it arrived, before anything parsed it. */
  readonly body: Uint8Array | string;
  /** The id of your relying party. */
  readonly relyingParty: string;
}

/**
 * Verifies evidence. Where it returns, the evidence is genuine, has a receipt, was answered with a key that the device itself certifies, and
 * is what you expect: by default an accept at the desired level or above.
 *
 * @throws {@link VerificationError} with `reason` `not_genuine` (`detail`: the part that does not hold), `not_proven` (`no_receipt` or
 * `uncertified`) or `unexpected` (the expectations that are not met, separated by commas).
 */
export function verifyEvidence(
  evidence: Evidence,
  { jwks, now, ...expected }: EvidenceOptions,
): Promise<VerifiedEvidence> {
  return withKeys(jwks, (keys) => {
    if (!isEvidence(evidence)) throw new VerificationError('not_genuine', 'challenge');
    return readEvidence(evidence, keys, expected, timeOf(now));
  });
}

/**
 * Verifies a request to a webhook endpoint: that its sender has the key of the endpoint and, for the end of a trusonafication, that the
 * deployment signed the content.
 *
 * @throws {@link VerificationError} with `reason` `invalid_key`, `malformed_timestamp`, `timestamp_out_of_tolerance`, `invalid_signature`,
 * `malformed_body`, `no_receipt`, `invalid_receipt` (`detail`: why, as for {@link verifyReceipt}) or `mismatch` (`detail`: `relying_party`,
 * `data`, `type`, `timestamp`). Answer 400.
 */
export async function verifyWebhook({ key, headers, body, jwks, relyingParty, now }: WebhookOptions): Promise<Webhook> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const { id } = verifyRequest({ key, headers, body: bytes, now: timeOf(now) });
  return withKeys(jwks, (keys) => readWebhook(id, bytes, keys, relyingParty));
}

/**
 * Verifies a receipt. It is the deployment's own statement; {@link verifyEvidence} also verifies what it rests on. Compare `iss`, `rp` and
 * `sub` with your own.
 *
 * @throws {@link VerificationError} with `reason` `malformed`, `unknown_key`, `wrong_type`, `wrong_algorithm`, `invalid_signature` or
 * `wrong_claims`.
 */
export function verifyReceipt(receipt: string, { jwks }: VerifyOptions): Promise<Receipt> {
  return withKeys(jwks, (keys) => readReceipt(receipt, keys));
}

/**
 * Verifies the `jwt` that a `callback_url` receives. Compare `sub` with the trusonafication that you created.
 *
 * @throws {@link VerificationError} as {@link verifyReceipt}.
 */
export function verifyResult(jwt: string, { jwks, issuer, relyingParty }: TokenOptions): Promise<ResultClaims> {
  return withKeys(jwks, (keys) => readResult(jwt, keys, issuer, relyingParty));
}

/**
 * Verifies the device identifier that your app hands over (`device_identifier_jwt`). Bind only devices whose identifier verifies: then nobody
 * can bind one that does not run your app.
 *
 * @throws {@link VerificationError} as {@link verifyReceipt}.
 */
export function verifyDeviceIdentifier(
  jwt: string,
  { jwks, issuer, relyingParty, now }: TokenOptions,
): Promise<DeviceClaims> {
  return withKeys(jwks, (keys) => readDeviceIdentifier(jwt, keys, issuer, relyingParty, timeOf(now)));
}

/**
 * Turns a user identifier into one that does not reveal the user, and is the same every time: base64url of HMAC-SHA-256 under a key that only
 * you have. Without a key, email addresses could be found by trying them.
 */
export function hashUserIdentifier(key: Uint8Array | string, userIdentifier: string): string {
  return base64url(createHmac('sha256', key).update(userIdentifier).digest());
}

async function withKeys<T>(keys: Keys, verify: (jwks: Jwks) => T): Promise<T> {
  if (!('get' in keys)) return verify(keys);
  try {
    return verify(await keys.get());
  } catch (error) {
    if (!isUnknownKey(error)) throw error;
    return verify(await keys.get({ fresh: true }));
  }
}

/** Whether it, or what it was caused by, is that the JWKS has no such key. */
function isUnknownKey(error: unknown): boolean {
  return error instanceof VerificationError && (error.reason === 'unknown_key' || isUnknownKey(error.cause));
}

function timeOf(now: Date | undefined): number {
  return (now ?? new Date()).getTime();
}
