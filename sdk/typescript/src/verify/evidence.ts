import { readChallenge, readResponse, type Challenge, type Response } from './challenge.js';
import { includes, isText, type Level } from './claims.js';
import { VerificationError } from './error.js';
import { readKey, type Jwk, type Jwks, type PublicKey } from './jwk.js';
import { isObject } from './json.js';
import { hashOf, parseJws } from './jws.js';
import { readKeyStatement, verifyKeySignature, type KeyStatement } from './key-statement.js';
import { isAccepted, isSuccess, readReceipt, type KeyKind, type Receipt } from './receipt.js';

/**
 * The evidence of an answered trusonafication: a JSON document to keep as it is, since signatures are over its characters. It proves nothing
 * until it is verified.
 */
export interface Evidence {
  /** What the phone showed: a JWS by the deployment. */
  readonly challenge: string;
  /** What the person decided: a JWS by the phone. */
  readonly response: string;
  /** How it ended: a JWS by the deployment. Absent before receipts were issued. */
  readonly receipt?: string;
  /** The device key, then the presence key that signed the response, if one did. */
  readonly keys: readonly Jwk[];
  /** Which presence keys are the device's: a JWS by the device key. Absent if the phone made none. */
  readonly key_statement?: string;
  /** The same claims by presence keys. */
  readonly key_signatures?: readonly string[];
}

/** What a verifier expects of evidence. Evidence of what somebody else accepted, or of last year, is genuine as well. */
export interface Expected {
  /** `accept`: at the desired level or above, or at `level` if that is given. `any`: then look at `receipt.status`. Default `accept`. */
  readonly outcome?: 'accept' | 'rejection' | 'any' | undefined;
  /** The id of the trusonafication: the one that you created. */
  readonly trusonafication?: string | undefined;
  /** The id of the relying party. */
  readonly party?: string | undefined;
  /** The user who responded. */
  readonly user?: string | undefined;
  /** The device that responded. */
  readonly device?: string | undefined;
  /** The least level that has to be proven, whatever was desired. */
  readonly level?: Level | undefined;
  /** How long ago it may have ended, in milliseconds. */
  readonly maxAge?: number | undefined;
  /**
   * Also accept a presence key that only the deployment attributes to the device: for phones whose apps make no key statements. Then look at
   * `certification`. Default false.
   */
  readonly allowUncertified?: boolean | undefined;
}

/**
 * Who says that the key that signed is the device's: it is the device key itself, the device key says so in its statement, or only the
 * deployment. `iat` is in seconds by the phone's clock; `co_signed`: the key signed the statement, too.
 */
export type Certification =
  | { readonly by: 'device_key' }
  | { readonly by: 'key_statement'; readonly seq: number; readonly iat: number; readonly co_signed: boolean }
  | { readonly by: 'deployment' };

/** Genuine evidence. The decision that counts is the receipt's: `response` is an accept even where the number was wrong. */
export interface VerifiedEvidence {
  /** How it ended. */
  readonly receipt: Receipt;
  /** What was shown. */
  readonly challenge: Challenge;
  /** What the person signed. */
  readonly response: Response;
  /** Who certifies the key. */
  readonly certification: Certification;
}

/** A minute: by how much the deployment's clock may be ahead. */
const MAX_AHEAD = 60_000;

/** Verifies evidence, in the order of docs/guides/evidence.md. `now` is in milliseconds since 1970. */
export function readEvidence(evidence: Evidence, jwks: Jwks, expected: Expected, now: number): VerifiedEvidence {
  const answer = readAnswer(evidence, jwks);
  if ((evidence.receipt ?? null) === null) throw new VerificationError('not_proven', 'no_receipt');
  const verified = withReceipt(answer, evidence, jwks);
  if (verified.certification.by === 'deployment' && expected.allowUncertified !== true) {
    throw new VerificationError('not_proven', 'uncertified', { evidence: verified });
  }
  const differs = compare(verified.receipt, expected, now);
  if (differs.length > 0) throw new VerificationError('unexpected', differs.join(','), { evidence: verified });
  return verified;
}

/** A challenge and the response to it. */
interface Answer {
  readonly challenge: Challenge;
  readonly response: Response;
  readonly device: PublicKey;
  readonly signer: PublicKey;
}

function readAnswer(evidence: Evidence, jwks: Jwks): Answer {
  const challenge = part('challenge', () => readChallenge(evidence.challenge, jwks));
  const compact = part('response', () => parseJws(evidence.response));
  const keys = part('response', () => (evidence.keys as readonly unknown[]).map(requireKey));
  const [device] = keys;
  if (device === undefined) throw new VerificationError('not_genuine', 'device');
  const signer = keys.find((key) => key.thumbprint === compact.kid);
  const response = part('response', () => {
    if (signer === undefined) throw new VerificationError('invalid_signature');
    return { signer, claims: readResponse(compact, signer) };
  });
  const { claims } = response;
  if (claims.iss !== device.thumbprint) throw new VerificationError('not_genuine', 'device');
  same([
    ['response.chal', claims.chal === hashOf(evidence.challenge)],
    ['response.sub', claims.sub === challenge.jti],
    ['response.aud', includes(claims.aud, challenge.iss)],
  ]);
  return { challenge, response: claims, device, signer: response.signer };
}

function withReceipt(
  { challenge, response, device, signer }: Answer,
  evidence: Evidence,
  jwks: Jwks,
): VerifiedEvidence {
  const receipt = part('receipt', () => readReceipt(evidence.receipt, jwks));
  const { key } = receipt;
  // Without a key there was no response, and `resp` differs.
  if (key === undefined) throw new VerificationError('not_genuine', 'receipt.resp');
  const isByPresence = signer.thumbprint !== device.thumbprint;
  const proven = isByPresence ? (response.doc === undefined ? 2 : 3) : 1;
  same([
    ['receipt.iss', receipt.iss === challenge.iss],
    ['receipt.sub', receipt.sub === challenge.jti],
    ['receipt.rp', receipt.rp === challenge.rp.id],
    ['receipt.chal', receipt.chal === response.chal],
    ['receipt.resp', receipt.resp === hashOf(evidence.response)],
    ['receipt.dev', receipt.dev === response.iss],
    ['receipt.key', key.jkt === signer.thumbprint && (key.kind !== 'device') === isByPresence],
    ['receipt.dec', countsAs(response, receipt)],
    ['receipt.level', receipt.level === undefined || receipt.level <= proven],
  ]);
  const { key_statement: text } = evidence;
  const statement =
    (text ?? null) === null ? undefined : part('key_statement', () => readKeyStatement(text, device, challenge.iss));
  const certification = part('key_signatures', () =>
    certify(statement, evidence.key_signatures ?? [], key.kind, signer),
  );
  return { receipt, challenge, response, certification };
}

/** Whether the receipt repeats the response's decision, or says that an accept came with a wrong number. */
function countsAs(response: Response, receipt: Receipt): boolean {
  if (response.dec === 'accept' && receipt.dec === 'reject') return receipt.why === 'number_mismatch';
  return receipt.dec === response.dec && receipt.why === (response.dec === 'reject' ? response.why : undefined);
}

function certify(
  statement: KeyStatement | undefined,
  signatures: readonly string[],
  kind: KeyKind,
  signer: PublicKey,
): Certification {
  if (kind === 'device') return { by: 'device_key' };
  const jkt = signer.thumbprint;
  if (!statement?.keys.some((key) => key.jkt === jkt && key.kind === kind)) return { by: 'deployment' };
  let coSigned = false;
  for (const signature of signatures) {
    const by = parseJws(signature);
    if (by.kid !== jkt) continue;
    verifyKeySignature(by, statement, signer);
    coSigned = true;
  }
  return { by: 'key_statement', seq: statement.seq, iat: statement.iat, co_signed: coSigned };
}

/** The expectations that are not met. */
function compare(receipt: Receipt, expected: Expected, now: number): string[] {
  const { outcome = 'accept', level, maxAge } = expected;
  const decision = {
    accept: () => (level === undefined ? isSuccess(receipt) : isAccepted(receipt)),
    rejection: () => receipt.status === 'REJECTED',
    any: () => true,
  }[outcome]();
  const isAsExpected = (value: string | undefined, found: string | undefined) => value === undefined || value === found;
  // In microseconds, as receipts have it.
  const age = now * 1000 - receipt.at;
  const met = {
    decision,
    trusonafication: isAsExpected(expected.trusonafication, receipt.sub),
    party: isAsExpected(expected.party, receipt.rp),
    user: isAsExpected(expected.user, receipt.user),
    device: isAsExpected(expected.device, receipt.dev),
    level: level === undefined || (receipt.level !== undefined && receipt.level >= level),
    age: maxAge === undefined || (age <= maxAge * 1000 && age >= -MAX_AHEAD * 1000),
  };
  return Object.entries(met).flatMap(([name, isMet]) => (isMet ? [] : [name]));
}

function requireKey(jwk: unknown): PublicKey {
  const key = readKey(jwk);
  if (key === undefined) throw new VerificationError('invalid_signature');
  return key;
}

/** Names the part of the evidence in which something does not verify. */
function part<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new VerificationError('not_genuine', name, { cause });
  }
}

function same(claims: readonly (readonly [name: string, isSame: boolean])[]): void {
  const other = claims.find(([, isSame]) => !isSame);
  if (other !== undefined) throw new VerificationError('not_genuine', other[0]);
}

/** Whether a value has the form of evidence. */
export function isEvidence(value: unknown): value is Evidence {
  return isObject(value) && isText(value['challenge']) && isText(value['response']) && Array.isArray(value['keys']);
}
