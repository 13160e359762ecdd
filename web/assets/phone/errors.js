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

/** The person did not prove their presence. */
export class PresenceDenied extends Error {
  constructor() {
    super('the person did not confirm');
    this.name = 'PresenceDenied';
  }
}
