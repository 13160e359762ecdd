import { createHmac, timingSafeEqual } from 'node:crypto';

import { base64url, fromBase64 } from './base64.js';
import { isText } from './claims.js';
import { VerificationError } from './error.js';
import { readKey, verifySignature, type Jwks } from './jwk.js';
import { isObject, readObject, type JsonObject } from './json.js';
import { hashOf } from './jws.js';
import { isAccepted, readReceipt, type Receipt } from './receipt.js';

/** The headers of a request: of Node.js, of `fetch`, or an object with names in lower case. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

/** How a trusonafication ended, signed by the deployment. */
export interface WebhookResult {
  /** A result is proven, and a notice is not. */
  readonly kind: 'result';
  /** The `webhook-id`, the same on every delivery. Remember it, and act once; better still, once for each `receipt.sub`. */
  readonly id: string;
  /** `trusonafication.accepted`, `.rejected`, `.expired`, `.canceled` or, in addition to `.rejected`, `.reported`. */
  readonly type: string;
  /** When it happened, RFC 3339. */
  readonly timestamp: string;
  /** The trusonafication as `GET /api/v2/trusonafications/{id}` returns it. Numbers in custom fields are doubles here. */
  readonly data: JsonObject;
  /** `data` character by character, with numbers as you wrote them. */
  readonly dataJson: string;
  /** What is signed: how it ended, and the hash of `data`. */
  readonly receipt: Receipt;
}

/**
 * Something that happened to a device, a binding, a document or a user. It has no receipt: take it as a reason to look with a call of your
 * own, and never as a reason to grant access.
 */
export interface WebhookNotice {
  /** A notice proves only who sent it. */
  readonly kind: 'notice';
  /** The `webhook-id`, the same on every delivery. */
  readonly id: string;
  /** `device.registered`, `binding.activated` and so on. Later releases add types, so ignore those that you do not know. */
  readonly type: string;
  /** When it happened, RFC 3339. */
  readonly timestamp: string;
  /** Depends on the type (docs/guides/webhooks.md). Of two about the same object, the one with the greater `version` is later. */
  readonly data: JsonObject;
  /** `data` character by character. */
  readonly dataJson: string;
}

/** A verified webhook. */
export type Webhook = WebhookResult | WebhookNotice;

/** By how many seconds the time of an attempt may be off. */
const TOLERANCE = 300;
/** Types that only a receipt proves begin with this. */
const END = 'trusonafication.';
/** In addition to `.rejected`, when the person says that the request was not theirs. */
const REPORTED = 'trusonafication.reported';

/** The parts of a request that are signed. */
export interface SignedRequest {
  /** `whsec_` or `whpk_`. */
  readonly key: string;
  readonly headers: WebhookHeaders;
  readonly body: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Verifies that a request came from who has the key, is complete, and is of about now. Standard Webhooks, `v1` and `v1a`. */
export function verifyRequest({ key, headers, body, now }: SignedRequest): { id: string } {
  const isSignedBy = readWebhookKey(key);
  const [id, timestamp, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) =>
    headerOf(headers, name),
  );
  if (timestamp === undefined || !/^[+-]?\d{1,18}$/.test(timestamp)) throw new VerificationError('malformed_timestamp');
  const at = Number(timestamp);
  if (Math.abs(Math.floor(now / 1000) - at) > TOLERANCE) throw new VerificationError('timestamp_out_of_tolerance');
  if (id === undefined || signatures === undefined) throw new VerificationError('invalid_signature');
  const message = Buffer.concat([Buffer.from(`${id}.${String(at)}.`), body]);
  if (!signatures.split(' ').some((signature) => isSignedBy(message, signature)))
    throw new VerificationError('invalid_signature');
  return { id };
}

/** Reads the body of a request whose signature was verified. */
export function readWebhook(id: string, body: Uint8Array, jwks: Jwks, relyingParty: string): Webhook {
  const read = readObject(body, ['data']);
  const { type, timestamp, data, receipt: jwt } = read?.value ?? {};
  const dataJson = read?.text.get('data');
  if (!isText(type) || !isText(timestamp) || !isObject(data) || dataJson === undefined || !isTextOrNull(jwt)) {
    throw new VerificationError('malformed_body');
  }
  const members = { id, type, timestamp, data, dataJson };
  if (!type.startsWith(END)) {
    // A receipt is always for an end.
    if (jwt !== undefined && jwt !== null) throw new VerificationError('mismatch', 'type');
    // Two words, also of types that later releases add.
    if (!/^[a-z_]+\.[a-z_]+$/.test(type)) throw new VerificationError('malformed_body');
    return { kind: 'notice', ...members };
  }
  if (jwt === undefined || jwt === null) throw new VerificationError('no_receipt');
  const receipt = receiptOf(jwt, jwks);
  const same = {
    relying_party: receipt.rp === relyingParty,
    data: receipt.data === hashOf(dataJson),
    type: type === endOf(receipt) || (type === REPORTED && receipt.status === 'REJECTED' && receipt.why === 'not_me'),
    timestamp: timestamp === timeOf(receipt.at),
  };
  const other = Object.entries(same).find(([, isSame]) => !isSame);
  if (other !== undefined) throw new VerificationError('mismatch', other[0]);
  return { kind: 'result', ...members, receipt };
}

/** Reads the key of an endpoint. Returns what says whether one signature is its. */
function readWebhookKey(text: string): (message: Uint8Array, signature: string) => boolean {
  const [, prefix, rest] = /^(whsec_|whpk_)(.*)$/s.exec(text) ?? [];
  const bytes = rest === undefined ? undefined : fromBase64(rest);
  if (bytes !== undefined && prefix === 'whsec_' && bytes.length >= 24) {
    return (message, signature) => {
      const given = signatureOf(signature, 'v1');
      const tag = createHmac('sha256', bytes).update(message).digest();
      return given?.length === tag.length && timingSafeEqual(given, tag);
    };
  }
  const key =
    bytes?.length === 32 && prefix === 'whpk_'
      ? readKey({ kty: 'OKP', crv: 'Ed25519', x: base64url(bytes) })
      : undefined;
  if (key === undefined) throw new VerificationError('invalid_key');
  return (message, signature) => {
    const given = signatureOf(signature, 'v1a');
    return given !== undefined && verifySignature(key, message, given);
  };
}

function signatureOf(signature: string, version: string): Buffer | undefined {
  const comma = signature.indexOf(',');
  return comma >= 0 && signature.slice(0, comma) === version ? fromBase64(signature.slice(comma + 1)) : undefined;
}

function receiptOf(jwt: string, jwks: Jwks): Receipt {
  try {
    return readReceipt(jwt, jwks);
  } catch (cause) {
    throw new VerificationError('invalid_receipt', cause instanceof VerificationError ? cause.reason : undefined, {
      cause,
    });
  }
}

function endOf(receipt: Receipt): string {
  return END + (isAccepted(receipt) ? 'accepted' : receipt.status.toLowerCase());
}

/** Microseconds as RFC 3339 with three digits. */
function timeOf(micros: number): string {
  return new Date(Math.floor(micros / 1000)).toISOString();
}

function headerOf(headers: WebhookHeaders, name: string): string | undefined {
  const value = headers instanceof Headers ? headers.get(name) : headers[name];
  return typeof value === 'string' ? value : undefined;
}

function isTextOrNull(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || isText(value);
}
