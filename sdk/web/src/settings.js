/** What the element's attributes say. */

import { CodeError } from './problem.js';

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * The gateway that served this script, if one did.
 * @param {string} script URL of the script
 */
export function servedBy(script) {
  return /^(https?:.+)\/sdk\/nodkey-code\/[^/]+\.js$/.exec(script.split(/[?#]/)[0])?.[1];
}

/**
 * Reads where codes come from.
 * @param {{gateway: string | null, relyingParty: string | null}} attributes
 * @param {string | undefined} server the gateway that served this script
 * @param {string} page URL of the page
 * @returns {{gateway: string, relyingParty: string}}
 */
export function read({ gateway, relyingParty }, server, page) {
  const named = gateway ?? server;
  if (!named) throw invalid('gateway is missing: set it to the URL of your Nodkey gateway');
  const url = URL.parse(named, page);
  if (!url || !/^https?:$/.test(url.protocol)) throw invalid(`gateway is not the URL of a gateway: ${named}`);
  if (!relyingParty || !UUID.test(relyingParty))
    throw invalid(`relying-party is not the id of a relying party: ${relyingParty ?? 'missing'}`);
  return { gateway: (url.origin + url.pathname).replace(/\/+$/, ''), relyingParty };
}

/** @param {string} message */
function invalid(message) {
  return CodeError.found('INVALID_CONFIGURATION', { message });
}
