/** What went wrong, in words for whoever holds the phone: what happened, what to do. */

import { Problem } from '../lib/problem.js';
import { PresenceUnavailable, Untrusted } from './errors.js';

/** @type {Record<string, string>} */
const PROBLEMS = {
  UNREACHABLE: 'No connection. Check it, then try again.',
  ALREADY_COMPLETED: 'This was answered already, or taken back.',
  ALREADY_PAIRED: 'Another phone took this code. Use the one that is shown now.',
  DEVICE_ALREADY_BOUND: 'The new phone is set up for an account there already. Remove that one on it first.',
  DEVICE_CHALLENGE_EXPIRED: 'This code has run out. Scan the one that is shown now.',
  DEVICE_NOT_ACTIVE: 'This phone is not active for that account. Ask the site to set it up again.',
  DEVICE_NOT_BOUND: 'This phone is not active for that account. Ask the site to set it up again.',
  DEVICE_RETIRED: 'This phone was removed from that account. Remove it here, too, and set it up again.',
  EXPIRED: 'Time ran out. Start again on the page.',
  INVALID_PAYLOAD: 'This code is not for that account.',
  INVALID_PROOF: 'The site does not know this phone any more. Remove the account and set it up again.',
  NOT_FOUND: 'This code is not known any more. Use the one that is shown now.',
  NUMBER_MISMATCH: 'Those are not the two digits on the page.',
  USER_FROZEN: 'This account is frozen, and no phone answers for it. Ask the site to release it.',
  TOO_MANY_WRONG_NUMBERS: 'Too many wrong numbers: this code is over. Use the one that is shown now.',
  RATE_LIMITED: 'Too much at once. Wait a moment, then try again.',
  TRANSFER_NOT_ALLOWED: 'This site sets up each phone itself. Ask it to set up the new one.',
  TRANSFER_PRESENCE_REQUIRED: 'This phone cannot show that it is you any more. Ask the site to set up the new one.',
};

/** @type {Record<Untrusted['reason'], string>} */
const UNTRUSTED = {
  EXPIRED: 'This code has run out. Use the one that is shown now.',
  ISSUER: 'This is from another service than the one this phone belongs to.',
  MALFORMED: 'This is not a code for this phone.',
  MISMATCH: 'This is not what it says it is.',
  SIGNATURE: 'This is not a code for this phone, or somebody made it up.',
};

/**
 * Words for something that was thrown. What should not have been is reported besides.
 * @param {unknown} cause
 */
export function explain(cause) {
  if (cause instanceof Untrusted) return UNTRUSTED[cause.reason];
  if (cause instanceof Problem) return PROBLEMS[cause.error] ?? cause.sentence;
  if (cause instanceof PresenceUnavailable)
    return 'This device cannot check now that it is you. Unlock it, then try again.';
  reportError(cause);
  return 'Something went wrong on this phone. Try again.';
}
