/** The phone's accounts, in IndexedDB: the only storage that holds keys which cannot be read out. */

/**
 * An account at a relying party: one device key, one presence key.
 * @typedef {object} Account
 * @property {string} id device identifier
 * @property {string} relyingParty its name
 * @property {string} user
 * @property {string} gateway the deployment's public URL
 * @property {import('../lib/jose.js').Jwks} jwks pinned
 * @property {CryptoKeyPair} deviceKey
 * @property {CryptoKeyPair} presenceKey
 * @property {CryptoKeyPair} [nextKey] is to replace the presence key, and the gateway may know it already
 * @property {ArrayBuffer} [passkey] names the platform's user verification that guards the presence key; without it a button does
 * @property {string} name of this phone, at the relying party
 * @property {number} addedAt milliseconds
 * @property {number} [phonesKnownUntil] until when the person knows of all of the user's phones, in milliseconds
 * @property {boolean} [isDeclared] whether the gateway knows what this phone can do
 * @property {{path: string, jwt: string}} [enrolment] the ticket whose backend has yet to be told of this phone, and with what
 */

const DATABASE = 'nodkey-phone';
const STORE = 'accounts';

/**
 * Every account, the oldest first.
 * @returns {Promise<Account[]>}
 */
export async function listAccounts() {
  const accounts = await run('readonly', (store) => store.getAll());
  return accounts.toSorted((/** @type {Account} */ a, /** @type {Account} */ b) => a.addedAt - b.addedAt);
}

/**
 * Keeps an account, in the place of what was kept of it.
 * @param {Account} account
 */
export async function putAccount(account) {
  await run('readwrite', (store) => store.put(account));
}

/**
 * Forgets an account, and its keys with it.
 * @param {string} id
 */
export async function deleteAccount(id) {
  await run('readwrite', (store) => store.delete(id));
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} use
 * @returns {Promise<T>}
 */
async function run(mode, use) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = use(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
