/** Calls of our JSON APIs, and their errors. */

/** Why a call failed: refused by the server, or the server was not reached (`status` 0, `error` `UNREACHABLE`). */
export class Problem extends Error {
  /**
   * @param {number} status HTTP status
   * @param {string} error stable, for programs; see docs/errors.md
   * @param {string} message one line, for people
   * @param {{fieldErrors?: Record<string, string[]>, headers?: Headers, cause?: unknown}} [details] what is wrong with
   *   which field; the headers of the answer
   */
  constructor(status, error, message, { fieldErrors = {}, headers = new Headers(), cause } = {}) {
    super(message, { cause });
    this.name = 'Problem';
    this.status = status;
    this.error = error;
    this.fieldErrors = fieldErrors;
    this.headers = headers;
    /** Whether what was asked may have been done, since nothing answered it. Only who called can tell, and says so here. */
    this.mayBeDone = false;
  }

  /** `Retry-After` in milliseconds. */
  get retryAfter() {
    return 1000 * (Number(this.headers.get('retry-after')) || 0);
  }

  /** The message as a sentence. */
  get sentence() {
    const text = this.message.charAt(0).toUpperCase() + this.message.slice(1);
    return /[.!?]$/.test(text) ? text : `${text}.`;
  }

  /** Whether the failure is temporary, so that a retry may succeed. */
  get isPassing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

/**
 * Fetches. A response other than 2xx, or none at all, is thrown as a `Problem`. A call that the caller aborted throws the reason.
 * @param {string} url
 * @param {RequestInit} [init]
 * @param {typeof globalThis.fetch} [fetch]
 * @returns {Promise<Response>}
 */
export async function send(url, init, fetch = globalThis.fetch) {
  const response = await fetch(url, init).catch((cause) => {
    init?.signal?.throwIfAborted();
    throw unreachable(cause);
  });
  if (response.ok) return response;
  throw await read(response);
}

/**
 * Reads the JSON of a response; null if it is empty.
 * @param {Response} response
 * @returns {Promise<any>}
 */
export async function json(response) {
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (cause) {
    throw cause instanceof SyntaxError ? malformed(response) : unreachable(cause);
  }
}

/**
 * Calls a JSON API: sends `body` as JSON if there is one, and returns the JSON of the response, null if it is empty.
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, headers?: Record<string, string>, signal?: AbortSignal, cache?: RequestCache}} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, { body, headers, signal, cache } = {}) {
  const init = { method, headers: new Headers({ accept: 'application/json', ...headers }), signal, cache };
  if (body === undefined) return json(await send(path, init));
  init.headers.set('content-type', 'application/json');
  return json(await send(path, { ...init, body: JSON.stringify(body) }));
}

/**
 * Has null for the answer of a call when there is no such thing.
 * @param {Promise<any>} answer
 * @returns {Promise<any>}
 */
export function orNull(answer) {
  return answer.catch((cause) => {
    if (cause instanceof Problem && cause.status === 404) return null;
    throw cause;
  });
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
async function read(response) {
  const body = await response.json().catch(() => null);
  if (typeof body?.error !== 'string') return malformed(response);
  const message = body.message || body.description || body.error;
  return new Problem(response.status, body.error, message, {
    fieldErrors: body.field_errors,
    headers: response.headers,
  });
}

/** @param {Response} response */
function malformed({ status, headers }) {
  return new Problem(status, 'UNEXPECTED', `The server sent an unexpected response (HTTP ${status}).`, {
    headers,
  });
}

/** @param {unknown} cause */
function unreachable(cause) {
  return new Problem(0, 'UNREACHABLE', 'The server cannot be reached.', { cause });
}
