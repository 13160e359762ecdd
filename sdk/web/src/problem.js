/** Why there is no code: what the gateway refused, or what keeps the page from reaching it. */

import { Problem } from '../../../web/assets/lib/problem.js';

/** What the page itself finds out. Every other code is one of the gateway's, and in docs/errors.md. */
const FOUND = {
  OFFLINE: 'the browser is offline',
  UNREACHABLE: 'the gateway cannot be reached',
  BLOCKED_BY_CSP: "the page's Content-Security-Policy blocks calls to the gateway: add its origin to connect-src",
  BLOCKED_BY_CORS:
    'the gateway answers without CORS headers: something in front of it removes them, or answers in its place',
  INVALID_CONFIGURATION: 'the element is not configured',
};

/** Why there is no code. */
export class CodeError extends Error {
  /**
   * @param {string} code stable, for programs
   * @param {string} message one line, for developers
   * @param {{isPassing?: boolean, status?: number, retryAfter?: number, cause?: unknown}} [details] `isPassing`: it is tried
   *   again; `status`: of the HTTP response; `retryAfter`: in milliseconds, as the gateway wants it
   */
  constructor(code, message, { isPassing = false, status = 0, retryAfter = 0, cause } = {}) {
    super(message, { cause });
    this.name = 'CodeError';
    this.code = code;
    this.isPassing = isPassing;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /**
   * What the page found out.
   * @param {keyof typeof FOUND} code
   * @param {{message?: string, isPassing?: boolean, cause?: unknown}} [details]
   */
  static found(code, { message = FOUND[code], ...details } = {}) {
    return new CodeError(code, message, details);
  }
}

/** Notices when the page's policy blocks calls to an origin: a call that is blocked looks like a network that failed. */
export class Policy {
  #blocks = false;

  /**
   * @param {string} origin
   * @param {AbortSignal} signal ends it
   */
  constructor(origin, signal) {
    const notice = (/** @type {SecurityPolicyViolationEvent} */ event) => {
      const isBlocked = event.disposition === 'enforce' && event.effectiveDirective === 'connect-src';
      if (isBlocked && URL.parse(event.blockedURI)?.origin === origin) this.#blocks = true;
    };
    document.addEventListener('securitypolicyviolation', notice, { signal });
  }

  /** Whether a call was blocked. The event may come a moment after the failure. */
  async blocks() {
    if (!this.#blocks) await new Promise((resolve) => setTimeout(resolve));
    return this.#blocks;
  }
}

/**
 * Says why a call failed.
 * @param {unknown} cause what it threw
 * @param {Policy} policy
 * @param {() => Promise<boolean>} answers whether the gateway answers at all, if only with what the page may not read
 * @returns {Promise<CodeError>}
 */
export async function explain(cause, policy, answers) {
  if (cause instanceof CodeError) return cause;
  if (cause instanceof Problem && cause.status !== 0) {
    const { error, message, isPassing, status, retryAfter } = cause;
    return new CodeError(error, message, { isPassing, status, retryAfter, cause });
  }
  if (await policy.blocks()) return CodeError.found('BLOCKED_BY_CSP', { cause });
  if (!navigator.onLine) return CodeError.found('OFFLINE', { isPassing: true, cause });
  const code = (await answers()) ? 'BLOCKED_BY_CORS' : 'UNREACHABLE';
  return CodeError.found(code, { isPassing: true, cause });
}
