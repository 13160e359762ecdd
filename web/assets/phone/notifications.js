/** Notifications of an account by Web Push (docs/guides/push.md): the browser's subscription, and its registration at the gateway. */

import { b64uDecode } from '../lib/jose.js';
import { registerAccount, registrationOf } from './registrations.js';
import { putAccount } from './store.js';

/** @typedef {import('./store.js').Account} Account */
/** @typedef {import('./protocol.js').Phone} Phone */
/**
 * `unsupported`: this browser cannot. `unavailable`: the relying party has not configured it. `blocked`: the person does not allow it.
 * @typedef {'unsupported' | 'unavailable' | 'blocked' | 'off' | 'on'} State
 */

/**
 * Whether an account has notifications, or could.
 * @param {Account} account
 * @param {Phone} phone
 * @returns {Promise<State>}
 */
export async function notificationState(account, phone) {
  if (!('serviceWorker' in navigator && 'PushManager' in globalThis && 'Notification' in globalThis))
    return 'unsupported';
  if (!(await phone.pushOptions())?.webpush_public_key) return 'unavailable';
  if (Notification.permission === 'denied') return 'blocked';
  return account.pushEndpoint && Notification.permission === 'granted' ? 'on' : 'off';
}

/**
 * Turns notifications on. Use `Accounts.turnOnNotifications`, which tells the other pages of this phone. Call it from a click: the browser asks
 * for permission.
 * @param {Account} account
 * @param {Phone} phone
 * @returns {Promise<State>}
 */
export async function turnOn(account, phone) {
  if ((await Notification.requestPermission()) !== 'granted') return notificationState(account, phone);
  await subscribe(account, phone);
  return notificationState(account, phone);
}

/**
 * Turns notifications off. Use `Accounts.turnOffNotifications`, which tells the other pages of this phone.
 * @param {Account} account
 * @param {Phone} phone
 */
export async function turnOff(account, phone) {
  await phone.forgetPush();
  await unsubscribe(account.id);
  delete account.pushEndpoint;
  await putAccount(account);
}

/**
 * Subscribes again if the browser has dropped or replaced the subscription of an account with notifications.
 * @param {Account} account
 * @param {Phone} phone
 * @returns {Promise<boolean>} whether the stored account has changed
 */
export async function refresh(account, phone) {
  const before = account.pushEndpoint;
  if (!before || Notification.permission !== 'granted') return false;
  const subscription = await (await registrationOf(account.id))?.pushManager.getSubscription();
  if (subscription?.endpoint !== before) await subscribe(account, phone);
  return account.pushEndpoint !== before;
}

/**
 * Ends the subscription of an account. Its registration at the gateway ends with the device.
 * @param {string} account
 */
export async function unsubscribe(account) {
  const registration = await registrationOf(account);
  await (await registration?.pushManager?.getSubscription())?.unsubscribe();
  await registration?.unregister();
}

/**
 * @param {Account} account
 * @param {Phone} phone
 */
async function subscribe(account, phone) {
  const key = (await phone.pushOptions())?.webpush_public_key;
  if (!key) return;
  const { pushManager } = await registerAccount(account.id);
  const options = { userVisibleOnly: true, applicationServerKey: b64uDecode(key) };
  const subscription = await pushManager.subscribe(options).catch(async (cause) => {
    // The relying party has another key than the one this browser subscribed with.
    if (!(cause instanceof DOMException) || cause.name !== 'InvalidStateError') throw cause;
    await (await pushManager.getSubscription())?.unsubscribe();
    return pushManager.subscribe(options);
  });
  const { endpoint = '', keys } = subscription.toJSON();
  await phone.registerPush({ provider: 'webpush', endpoint, keys });
  account.pushEndpoint = endpoint;
  await putAccount(account);
}
