/** Errors after which a phone must not continue. */

/** Something was not signed by this deployment, is not for this phone, or has expired. It must not be shown. */
export class Untrusted extends Error {
  /**
   * @param {'SIGNATURE' | 'ISSUER' | 'MISMATCH' | 'EXPIRED' | 'MALFORMED'} reason
   * @param {unknown} [cause]
   */
  constructor(reason, cause) {
    super(`cannot be trusted: ${reason}`, { cause });
    this.name = 'Untrusted';
    this.reason = reason;
  }
}

/** The device's user verification is not available now. A presence key of another kind signs instead, if there is one. */
export class PresenceUnavailable extends Error {
  constructor() {
    super('user verification is not available now');
    this.name = 'PresenceUnavailable';
  }
}

/** The person did not confirm their presence. */
export class PresenceDenied extends Error {
  constructor() {
    super('the person did not confirm');
    this.name = 'PresenceDenied';
  }
}
