/** What a phone must not go on with. */

/** Something is not by this deployment, not for this phone, or over. It must not be shown. */
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

/** The device cannot check the person in this way now: a presence key of another kind signs then, if there is one. */
export class PresenceUnavailable extends Error {
  constructor() {
    super('the device cannot check the person now');
    this.name = 'PresenceUnavailable';
  }
}

/** The person did not prove their presence. */
export class PresenceDenied extends Error {
  constructor() {
    super('the person did not confirm');
    this.name = 'PresenceDenied';
  }
}
