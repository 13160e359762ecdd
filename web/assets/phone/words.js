/** Messages for failures: what happened, and what to do. */

import { Problem } from '../lib/problem.js';
import { PresenceUnavailable, Untrusted } from './errors.js';

/** @type {Record<string, string>} */
const PROBLEMS = {
  UNREACHABLE: 'No connection. Check the network, then try again.',
  ALREADY_COMPLETED: 'This request was already answered or canceled.',
  ALREADY_PAIRED: 'Another phone has used this code. Scan the one shown now.',
  DEVICE_ALREADY_BOUND: 'The new phone already has an account there. Remove that account on it first.',
  DEVICE_CHALLENGE_EXPIRED: 'This code has expired. Scan the one shown now.',
  DEVICE_NOT_ACTIVE: 'This phone is not active for this account. Ask the site to set it up again.',
  DEVICE_NOT_BOUND: 'This phone is not active for this account. Ask the site to set it up again.',
  DEVICE_RETIRED: 'This phone was removed from the account. Remove the account here as well, then set it up again.',
  EXPIRED: 'The request has expired. Start again on the page.',
  INVALID_PAYLOAD: 'This code is not for that account.',
  INVALID_PROOF: 'The site no longer knows this phone. Remove the account, then set it up again.',
  NOT_FOUND: 'This code is no longer known. Scan the one shown now.',
  NUMBER_MISMATCH: 'These are not the two digits on the page.',
  USER_FROZEN: 'This account is frozen. Ask the site to release it.',
  TOO_MANY_WRONG_NUMBERS: 'Too many wrong numbers: this code is no longer valid. Scan the one shown now.',
  RATE_LIMITED: 'Too many attempts. Wait a moment, then try again.',
  TRANSFER_NOT_ALLOWED: 'This site does not let phones add other phones. Ask it to set up the new one.',
  TRANSFER_PRESENCE_REQUIRED: 'This phone can no longer prove your presence. Ask the site to set up the new one.',
};

/** @type {Record<Untrusted['reason'], string>} */
const UNTRUSTED = {
  EXPIRED: 'This code has expired. Scan the one shown now.',
  ISSUER: 'This is from another service than this phone’s.',
  MALFORMED: 'This is not a code for this phone.',
  MISMATCH: 'This does not match what it claims to be.',
  SIGNATURE: 'This code is not genuine, or not for this phone.',
};

/**
 * Returns a message for something that was thrown. Unexpected errors are also reported.
 * @param {unknown} cause
 */
export function explain(cause) {
  if (cause instanceof Untrusted) return UNTRUSTED[cause.reason];
  if (cause instanceof Problem) return PROBLEMS[cause.error] ?? cause.sentence;
  if (cause instanceof PresenceUnavailable) return 'This device cannot verify you now. Unlock it, then try again.';
  reportError(cause);
  return 'Something went wrong on this phone. Try again.';
}
