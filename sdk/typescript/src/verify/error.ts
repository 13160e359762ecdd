import type { VerifiedEvidence } from './evidence.js';

/** Why a JWS of the deployment or of a phone does not verify. */
export type TokenReason =
  'malformed' | 'unknown_key' | 'wrong_type' | 'wrong_algorithm' | 'invalid_signature' | 'wrong_claims';

/** Why a webhook does not verify. */
export type WebhookReason =
  | 'invalid_key'
  | 'malformed_timestamp'
  | 'timestamp_out_of_tolerance'
  | 'invalid_signature'
  | 'malformed_body'
  | 'no_receipt'
  | 'invalid_receipt'
  | 'mismatch';

/** Why evidence does not show what is expected. */
export type EvidenceReason = 'not_genuine' | 'not_proven' | 'unexpected';

/** Every reason for which something does not verify. They are explained at the functions that throw them. */
export type VerificationReason = TokenReason | WebhookReason | EvidenceReason;

const MESSAGES: Record<VerificationReason, string> = {
  malformed: 'this is not a compact JWS',
  unknown_key: 'the JWKS has no key of this name that may sign this',
  wrong_type: 'this is a JWS of another type',
  wrong_algorithm: "the algorithm is not the key's",
  invalid_signature: 'the signature does not verify',
  wrong_claims: 'the claims are missing, contradictory, or of another issuer, party or time',
  invalid_key: 'the key is neither a secret (whsec_) of at least 24 bytes nor a public key (whpk_)',
  malformed_timestamp: 'the webhook-timestamp is not a number',
  timestamp_out_of_tolerance:
    'the webhook-timestamp is more than five minutes off: an old message sent again, or a clock that is wrong',
  malformed_body: 'the body is not that of a webhook',
  no_receipt: 'the webhook says how something ended and has no receipt, so it proves nothing',
  invalid_receipt: 'the receipt does not verify',
  mismatch: 'the receipt is for something else',
  not_genuine: 'the evidence is not genuine',
  not_proven: 'the evidence does not prove who answered',
  unexpected: 'the evidence is genuine, and shows something other than expected',
};

/** Thrown for whatever does not verify. */
export class VerificationError extends Error {
  override readonly name = 'VerificationError';
  /** Stable, for programs to compare. */
  readonly reason: VerificationReason;
  /** More about the reason, as stable: which part, which claim, which expectations. */
  readonly detail: string | undefined;
  /** Genuine evidence that is not what was expected (`unexpected`), or whose key only the deployment vouches for (`uncertified`). */
  readonly evidence: VerifiedEvidence | undefined;

  /** @internal */
  constructor(
    reason: VerificationReason,
    detail?: string,
    options: ErrorOptions & { evidence?: VerifiedEvidence } = {},
  ) {
    super(detail === undefined ? MESSAGES[reason] : `${MESSAGES[reason]}: ${detail}`, options);
    this.reason = reason;
    this.detail = detail;
    this.evidence = options.evidence;
  }
}
