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
 * @property {string} [pushEndpoint] where pushes for this account go, if its owner turned notifications on
 * @property {{path: string, jwt: string}} [enrolment] the ticket whose backend has yet to be notified, and the JWT for it
 */

const DATABASE = 'nodkey-phone';
const VERSION = 2;
const ACCOUNTS = 'accounts';
/** The store of answers, by account. */
export const HISTORY = 'history';

/**
 * Every account, the oldest first.
 * @returns {Promise<Account[]>}
 */
export async function listAccounts() {
  const accounts = await transact([ACCOUNTS], 'readonly', (store) => store(ACCOUNTS).getAll());
  return accounts.toSorted((/** @type {Account} */ a, /** @type {Account} */ b) => a.addedAt - b.addedAt);
}

/**
 * Stores an account, replacing its previous state.
 * @param {Account} account
 */
export async function putAccount(account) {
  await transact([ACCOUNTS], 'readwrite', (store) => store(ACCOUNTS).put(account));
}

/**
 * Deletes an account, its keys and its history.
 * @param {string} id
 */
export async function deleteAccount(id) {
  await transact([ACCOUNTS, HISTORY], 'readwrite', (store) => {
    const answers = store(HISTORY).index('account').getAllKeys(id);
    answers.onsuccess = () => answers.result.forEach((key) => store(HISTORY).delete(key));
    return store(ACCOUNTS).delete(id);
  });
}

/**
 * Runs a transaction over stores, and returns the result of the request that `use` returns.
 * @template T
 * @param {string[]} names
 * @param {IDBTransactionMode} mode
 * @param {(store: (name: string) => IDBObjectStore) => IDBRequest<T>} use
 * @returns {Promise<T>}
 */
export async function transact(names, mode, use) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(names, mode);
      const request = use((name) => transaction.objectStore(name));
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
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = ({ oldVersion }) => {
      const database = request.result;
      if (oldVersion < 1) database.createObjectStore(ACCOUNTS, { keyPath: 'id' });
      if (oldVersion < 2)
        database.createObjectStore(HISTORY, { autoIncrement: true }).createIndex('account', 'account');
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
