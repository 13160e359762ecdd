/**
 * The platform's user verification: fingerprint, face or PIN, through WebAuthn. It only guards the presence key: no server verifies the
 * passkey's signatures, so the challenge need not come from a server.
 */

const TIMEOUT = 60_000;
/** The flags byte of the authenticator data and its "user verified" bit (WebAuthn, section 6.1). */
const FLAGS = 32;
const USER_VERIFIED = 0x04;

/** Whether this device can verify its user for this page. Browsers never do so at an IP address. */
export async function canVerifyUser() {
  const isAddress = /^[\d.]+$|^\[/.test(location.hostname);
  if (isAddress || !globalThis.PublicKeyCredential) return false;
  return PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable();
}

/**
 * Creates the passkey that verifies the user from now on. Rejects when they decline.
 * @param {string} name of the account, which the device may show
 * @returns {Promise<ArrayBuffer>} the credential id for `verifyUser`
 */
export async function createPasskey(name) {
  const credential = await navigator.credentials.create({
    publicKey: {
      rp: { name: 'Nodkey phone' },
      user: { id: random(), name, displayName: name },
      challenge: random(),
      pubKeyCredParams: [
        { type: 'public-key', alg: -7 },
        { type: 'public-key', alg: -257 },
      ],
      authenticatorSelection: {
        authenticatorAttachment: 'platform',
        userVerification: 'required',
        residentKey: 'discouraged',
      },
      timeout: TIMEOUT,
    },
  });
  return /** @type {PublicKeyCredential} */ (credential).rawId;
}

/**
 * Has the device verify its user now. Rejects when it did not.
 * @param {ArrayBuffer} id
 */
export async function verifyUser(id) {
  const credential = await navigator.credentials.get({
    publicKey: {
      challenge: random(),
      allowCredentials: [{ type: 'public-key', id, transports: ['internal'] }],
      userVerification: 'required',
      timeout: TIMEOUT,
    },
  });
  const { response } = /** @type {PublicKeyCredential} */ (credential);
  const data = new Uint8Array(/** @type {AuthenticatorAssertionResponse} */ (response).authenticatorData);
  if (!(data[FLAGS] & USER_VERIFIED)) throw new DOMException('the user was not verified', 'NotAllowedError');
}

function random() {
  return crypto.getRandomValues(new Uint8Array(32));
}
