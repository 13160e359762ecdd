/**
 * The platform's user verification: fingerprint, face or PIN, by WebAuthn. It guards the presence key, and that is all: the
 * passkey it makes signs nothing for anybody, so its challenge need not come from a server.
 */

const TIMEOUT = 60_000;
/** Of the authenticator data (WebAuthn, section 6.1): the byte of flags, and "user verified" in it. */
const FLAGS = 32;
const USER_VERIFIED = 0x04;

/** Tells whether this device can check its user for this page. At an IP address no browser does. */
export async function canVerifyUser() {
  const isAddress = /^[\d.]+$|^\[/.test(location.hostname);
  if (isAddress || !globalThis.PublicKeyCredential) return false;
  return PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable();
}

/**
 * Has the device check its user from now on. Rejects when they do not agree.
 * @param {string} name of the account, which the device may show
 * @returns {Promise<ArrayBuffer>} what `verifyUser` asks for
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
 * Has the device check its user, now. Rejects when it did not.
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
