/** Another presence key in the place of the one there is, which vouches for it. */

import { thumbprint } from '../lib/jose.js';
import { generateKey, keyStore } from './keys.js';
import { putAccount } from './store.js';

/** @typedef {import('./store.js').Account} Account */
/** @typedef {import('./protocol.js').Phone} Phone */
/** @typedef {(reason: string) => Promise<void>} Confirm asks the person before a presence key signs */

/**
 * Makes a presence key and has the gateway know it. It is kept before the gateway is told: a phone that is closed in between finds out
 * later which one the gateway knows, by `settle`.
 * @param {Account} account
 * @param {Phone} phone
 * @param {Confirm} confirm
 */
export async function renew(account, phone, confirm) {
  account.nextKey ??= await generateKey();
  await putAccount(account);
  const before = await keyStore(account.deviceKey, account.presenceKey, confirm);
  // The person is asked once, by the key that there is.
  const signing = await keyStore(account.deviceKey, account.nextKey, async () => {});
  const device = await phone.replaceKeys(signing, before.presenceKeys);
  await take(account, phone, confirm);
  return device;
}

/**
 * Finishes what `renew` may have begun: takes the next key if the gateway knows it, and forgets it otherwise.
 * @param {Account} account
 * @param {Phone} phone
 * @param {Confirm} confirm
 */
export async function settle(account, phone, confirm) {
  if (!account.nextKey) return;
  const store = await keyStore(account.deviceKey, account.nextKey, confirm);
  const next = await thumbprint(store.presenceKeys[0].jwk);
  const { presence_keys: held = [] } = await phone.status();
  if (held.some((key) => key.thumbprint === next)) return take(account, phone, confirm);
  delete account.nextKey;
  await putAccount(account);
}

/**
 * @param {Account} account
 * @param {Phone} phone
 * @param {Confirm} confirm
 */
async function take(account, phone, confirm) {
  if (!account.nextKey) return;
  account.presenceKey = account.nextKey;
  delete account.nextKey;
  await putAccount(account);
  phone.useKeys(await keyStore(account.deviceKey, account.presenceKey, confirm));
}
