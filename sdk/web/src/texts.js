/** What the element says, in English. */

/** @type {import('../index.js').NodkeyCodeTexts} */
export const TEXTS = {
  label: 'QR code: scan it with your phone',
  loading: 'Getting a code…',
  ready: 'Scan the code with your phone.',
  digits: 'Your phone asks for',
  link: 'Open on this phone',
  paired: 'Scanned. Continue on your phone.',
  retry: 'Try again',
  RETRYING: 'The code cannot be fetched right now. Trying again…',
  FAILED: 'No code can be shown here. Try again, or continue in another way.',
  OFFLINE: 'You are offline. A code appears once you are online again.',
  RATE_LIMITED: 'Too many codes were requested from your network. The next one appears shortly.',
  TOO_MANY_WAITS: 'Too many codes were requested from your network. The next one appears shortly.',
  OVERLOADED: 'Many people are signing in right now. A code appears shortly.',
};
