/** Addresses of the console: `/console/<view>?rp=<relying party>&…`. What is in the address can be shared and loaded again. */

/** @typedef {Record<string, string | null | undefined>} Query Values by name; empty ones are left out. */

/**
 * Writes the address of a view.
 * @param {string} view
 * @param {Query} [query]
 * @returns {string}
 */
export function address(view, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  const search = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
  return `/console${view === 'overview' ? '' : `/${view}`}${search && `?${search}`}`;
}

/**
 * Names the view of the present address.
 * @returns {string}
 */
export function currentView() {
  return location.pathname.split('/')[2] || 'overview';
}

/**
 * Goes to another view.
 * @param {string} href
 */
export function go(href) {
  history.pushState(null, '', href);
  dispatchEvent(new PopStateEvent('popstate'));
}

/**
 * Calls back for each new address: by links of the console, by the browser's buttons and by `go`.
 * @param {() => void} arrive
 */
export function startRouter(arrive) {
  addEventListener('popstate', arrive);
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || !isPlain(event) || !isView(link)) return;
    event.preventDefault();
    go(link.href);
  });
}

/** @param {MouseEvent} event */
function isPlain(event) {
  const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  return !event.defaultPrevented && event.button === 0 && !modified;
}

/** @param {HTMLAnchorElement} link */
function isView({ origin, pathname, target, hash }) {
  if (origin !== location.origin || target || hash) return false;
  return pathname === '/console' || (pathname.startsWith('/console/') && pathname !== '/console/phone');
}
