/** The views of the console. */

/** @typedef {import('./page.js').Page} Page */
/** @typedef {import('../lib/icons.js').IconName} IconName */

/**
 * @typedef {object} View
 * @property {string} title
 * @property {IconName} [icon] of views that the navigation has
 * @property {string} [within] the view that the navigation marks instead
 * @property {boolean} [scoped] whether it shows what belongs to one relying party
 * @property {() => Promise<{ show(page: Page): void | Promise<void> }>} load
 */

/**
 * Fetches the module of a view when it is first looked at. A browser may remember that a module could not be fetched: then it is asked for by
 * another address.
 * @param {string} name
 * @returns {View['load']}
 */
function fetched(name) {
  let failures = 0;
  return async () => {
    try {
      return await import(`./views/${name}.js${failures ? `?again=${failures}` : ''}`);
    } catch (cause) {
      failures += 1;
      throw cause;
    }
  };
}

/** @type {Record<string, View>} */
export const VIEWS = {
  overview: { title: 'Overview', icon: 'activity', load: fetched('overview') },

  trusonafications: {
    title: 'Trusonafications',
    icon: 'shield',
    scoped: true,
    load: fetched('trusonafications'),
  },
  trusonafication: {
    title: 'Trusonafication',
    within: 'trusonafications',
    scoped: true,
    load: fetched('trusonafication'),
  },
  users: { title: 'Users and devices', icon: 'users', scoped: true, load: fetched('users') },
  endpoints: { title: 'Webhook endpoints', icon: 'webhook', scoped: true, load: fetched('endpoints') },
  deliveries: { title: 'Deliveries', icon: 'send', scoped: true, load: fetched('deliveries') },
  delivery: { title: 'Delivery', within: 'deliveries', scoped: true, load: fetched('delivery') },
  credentials: { title: 'Credentials', icon: 'lock', scoped: true, load: fetched('credentials') },
  settings: { title: 'Settings', icon: 'settings', scoped: true, load: fetched('settings') },

  'relying-parties': { title: 'Relying parties', icon: 'building', load: fetched('relying_parties') },
  'signing-keys': { title: 'Signing keys', icon: 'key', load: fetched('signing_keys') },
  operators: { title: 'Operators', icon: 'user', load: fetched('operators') },
  sessions: { title: 'Your sessions', within: 'operators', load: fetched('sessions') },
  audit: { title: 'Audit log', icon: 'scroll', load: fetched('audit') },
};
