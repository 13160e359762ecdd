/** The phone's accounts, in IndexedDB: the only browser storage that can hold keys that cannot be exported. */

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
 * @property {CryptoKeyPair} [nextKey] replacement of the presence key, which the gateway may already know
 * @property {ArrayBuffer} [passkey] credential id for the user verification that guards the presence key; without one a button does
 * @property {string} name of this phone, at the relying party
 * @property {number} addedAt milliseconds
 * @property {number} [phonesKnownUntil] activation time up to which the person has confirmed the user's phones, in milliseconds
 * @property {boolean} [isDeclared] whether the gateway knows this phone's capabilities
 * @property {{path: string, jwt: string}} [enrolment] the ticket whose backend has yet to be notified, and the JWT for it
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
 * Stores an account, replacing its previous state.
 * @param {Account} account
 */
export async function putAccount(account) {
  await run('readwrite', (store) => store.put(account));
}

/**
 * Deletes an account and its keys.
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
