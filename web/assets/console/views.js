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

/** @type {Record<string, View>} */
export const VIEWS = {
  overview: { title: 'Overview', icon: 'activity', load: () => import('./views/overview.js') },

  trusonafications: {
    title: 'Trusonafications',
    icon: 'shield',
    scoped: true,
    load: () => import('./views/trusonafications.js'),
  },
  trusonafication: {
    title: 'Trusonafication',
    within: 'trusonafications',
    scoped: true,
    load: () => import('./views/trusonafication.js'),
  },
  users: { title: 'Users and devices', icon: 'users', scoped: true, load: () => import('./views/users.js') },
  endpoints: { title: 'Webhook endpoints', icon: 'webhook', scoped: true, load: () => import('./views/endpoints.js') },
  deliveries: { title: 'Deliveries', icon: 'send', scoped: true, load: () => import('./views/deliveries.js') },
  delivery: { title: 'Delivery', within: 'deliveries', scoped: true, load: () => import('./views/delivery.js') },
  credentials: { title: 'Credentials', icon: 'lock', scoped: true, load: () => import('./views/credentials.js') },
  settings: { title: 'Settings', icon: 'settings', scoped: true, load: () => import('./views/settings.js') },

  'relying-parties': { title: 'Relying parties', icon: 'building', load: () => import('./views/relying_parties.js') },
  'signing-keys': { title: 'Signing keys', icon: 'key', load: () => import('./views/signing_keys.js') },
  operators: { title: 'Operators', icon: 'user', load: () => import('./views/operators.js') },
  audit: { title: 'Audit log', icon: 'scroll', load: () => import('./views/audit.js') },
};
