/** The relying parties that can be chosen. */
import { rpc } from './api.js';

/** @typedef {{ tolerant?: boolean, allowUnprompted?: boolean, requireSixDigits?: boolean }} PromptSettings */
/** @typedef {{ refuseTransfers?: boolean, phonesAddPhones?: boolean }} PhoneSettings */
/** @typedef {{ id: string, name: string, disabled?: boolean, createdAt: string, trucodes?: TruCodeSettings, signatures?: SignatureSettings, limits?: Limits, prompts?: PromptSettings, bindings?: { inactiveHours?: number }, phones?: PhoneSettings }} RelyingParty */
/** @typedef {{ allowedOrigins?: string[], allowUnprovenPairing?: boolean, matchNumber?: boolean }} TruCodeSettings */
/** @typedef {{ registrationsPerAddress?: number, unboundDevices?: number, webhookEndpoints?: number, openTrusonafications?: number }} Limits */
/** @typedef {{ refuseUnescapedPath?: boolean, refuseTruncatedBody?: boolean, maxDateSkewSeconds?: number, refuseRepeated?: boolean }} SignatureSettings */

/** As many as one answer holds; older ones are found by the view that lists them all. */
const MOST = 500;
const CHOSEN = 'nodkey-relying-party';

/** @type {RelyingParty[]} */
let known = [];
/** The one that this page acts for. The storage is shared by all tabs: it only says which one to begin with. */
let current = '';

/** Tells, by the event `change`, that the list is another. */
export const relyingParties = new EventTarget();

/**
 * Reads the list anew.
 * @returns {Promise<void>}
 */
export async function loadRelyingParties() {
  const answer = await rpc('registry.v1.RelyingPartyService/ListRelyingParties', { pageSize: MOST }, {});
  known = answer.relyingParties ?? [];
  relyingParties.dispatchEvent(new Event('change'));
}

/** Returns the list, newest first. */
export function allRelyingParties() {
  return known;
}

/**
 * Names a relying party; an unknown one by its id.
 * @param {string} id
 */
export function relyingPartyName(id) {
  return known.find((each) => each.id === id)?.name ?? id;
}

/**
 * Returns the one to act for: that of the address, else the one before on this page, else the last one of any page, else the first that is not disabled.
 * One that is not known is acted for as long as the address names it, and not remembered.
 * @param {string} [asked]
 * @returns {string} empty when there is none
 */
export function chooseRelyingParty(asked) {
  const remembered = known.find(({ id }) => id === localStorage.getItem(CHOSEN));
  const first = known.find(({ disabled }) => !disabled) ?? known[0];
  const chosen = asked || current || remembered?.id || first?.id || '';
  if (known.some(({ id }) => id === chosen)) {
    current = chosen;
    localStorage.setItem(CHOSEN, chosen);
  }
  return chosen;
}
