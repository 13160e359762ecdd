/** Replaces the presence key. The old key vouches for the new one. */

import { thumbprint } from '../lib/jose.js';
import { generateKey, keyStore } from './keys.js';
import { putAccount } from './store.js';

/** @typedef {import('./store.js').Account} Account */
/** @typedef {import('./protocol.js').Phone} Phone */
/** @typedef {(reason: string) => Promise<void>} Confirm has the person confirm before a presence key signs */

/**
 * Generates a presence key and registers it. It is stored before the gateway is notified; a phone closed in between finds out later
 * through `settle` which key the gateway knows.
 * @param {Account} account
 * @param {Phone} phone
 * @param {Confirm} confirm
 */
export async function renew(account, phone, confirm) {
  account.nextKey ??= await generateKey();
  await putAccount(account);
  const before = await keyStore(account.deviceKey, account.presenceKey, confirm);
  // The person confirms once, for the current key.
  const signing = await keyStore(account.deviceKey, account.nextKey, async () => {});
  const device = await phone.replaceKeys(signing, before.presenceKeys);
  await adopt(account, phone, confirm);
  return device;
}

/**
 * Finishes an interrupted `renew`: adopts the next key if the gateway knows it, and discards it otherwise.
 * @param {Account} account
 * @param {Phone} phone
 * @param {Confirm} confirm
 */
export async function settle(account, phone, confirm) {
  if (!account.nextKey) return;
  const store = await keyStore(account.deviceKey, account.nextKey, confirm);
  const next = await thumbprint(store.presenceKeys[0].jwk);
  const { presence_keys: held = [] } = await phone.status();
  if (held.some((key) => key.thumbprint === next)) return adopt(account, phone, confirm);
  delete account.nextKey;
  await putAccount(account);
}

/**
 * @param {Account} account
 * @param {Phone} phone
 * @param {Confirm} confirm
 */
async function adopt(account, phone, confirm) {
  if (!account.nextKey) return;
  account.presenceKey = account.nextKey;
  delete account.nextKey;
  await putAccount(account);
  phone.useKeys(await keyStore(account.deviceKey, account.presenceKey, confirm));
}
