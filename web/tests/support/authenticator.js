/** The platform's check of its user, as Chromium plays it. */

/** @typedef {import('@playwright/test').Page} Page */

/**
 * A server's address by name: at an IP address no browser checks its user.
 * @param {{url: string}} server
 */
export function named({ url }) {
  return url.replace('127.0.0.1', 'localhost');
}

/**
 * Gives the page a platform that checks its user. What is returned sets whether it confirms.
 * @param {Page} page
 */
export async function authenticator(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return async (/** @type {boolean} */ isUserVerified) => {
    await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  };
}
