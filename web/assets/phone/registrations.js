/** The registrations of the phone's service worker (app/service_worker.js): that of the page, and those of accounts with notifications. */

/** Named in the policy of the phone's page, which lets no other script make URLs of scripts. */
const POLICY = 'nodkey-service-worker';

const PHONE = location.pathname;
const SCRIPT = `${PHONE}/sw.js`;

/** @type {any} */
const { trustedTypes } = globalThis;
const policy = trustedTypes?.createPolicy(POLICY, {
  createScriptURL: (/** @type {string} */ url) => {
    if (url !== SCRIPT) throw new TypeError('not the service worker');
    return url;
  },
});

/** Keeps the app shell for when there is no network. Where the browser has no service workers, the phone works without. */
export async function keepShell() {
  if ('serviceWorker' in navigator) await register(PHONE).catch(() => null);
}

/**
 * Registers the service worker that receives the pushes of an account.
 * @param {string} account
 * @returns {Promise<ServiceWorkerRegistration>}
 */
export async function registerAccount(account) {
  const registration = await register(scopeOf(account));
  await untilActive(registration);
  return registration;
}

/**
 * The registration of an account, if it has one.
 * @param {string} account
 * @returns {Promise<ServiceWorkerRegistration | null>}
 */
export async function registrationOf(account) {
  const found = await navigator.serviceWorker?.getRegistration(scopeOf(account));
  // Without one of its own, that of the page would be found.
  return found?.scope.endsWith(scopeOf(account)) ? found : null;
}

/** @param {string} account */
function scopeOf(account) {
  return `${PHONE}/push/${account}`;
}

/** @param {string} scope */
function register(scope) {
  return navigator.serviceWorker.register(policy?.createScriptURL(SCRIPT) ?? SCRIPT, { scope, updateViaCache: 'none' });
}

/**
 * Resolves once a registration can receive pushes.
 * @param {ServiceWorkerRegistration} registration
 * @returns {Promise<void>}
 */
function untilActive({ installing, waiting, active }) {
  const worker = installing ?? waiting;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (active || worker?.state === 'activated') resolve();
      else if (!worker || worker.state === 'redundant') reject(new DOMException('not installed', 'AbortError'));
    };
    worker?.addEventListener('statechange', look);
    if (active || !worker || worker.state === 'activated') look();
  });
}
