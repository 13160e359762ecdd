/** The reference of the HTTP API, made from /openapi.json of this deployment. */

import { copyable, h, replace } from '../lib/dom.js';
import { TOKEN } from './curl.js';
import { section } from './operation.js';
import { paragraphs } from './prose.js';

const METHODS = ['get', 'put', 'post', 'delete', 'patch'];

const main = /** @type {HTMLElement} */ (document.querySelector('main'));
const nav = /** @type {HTMLElement} */ (document.querySelector('nav'));

const document_ = await fetch('/openapi.json').then(
  (answer) => (answer.ok ? answer.json() : null),
  () => null,
);
if (document_) show(document_);
else {
  replace(
    main,
    h(
      'div.failure',
      h('h2', 'The reference could not be loaded'),
      h('p', 'Check the connection, and load the page again.'),
    ),
  );
}

/** @param {any} document_ an OpenAPI 3.1 document */
function show(document_) {
  /** @type {(value: any) => any} */
  const resolve = (value) => {
    const path = value?.$ref?.slice(2).split('/');
    return path
      ? resolve(path.reduce((/** @type {any} */ at, /** @type {string} */ name) => at[name], document_))
      : value;
  };
  const server = document_.servers[0].url;
  const calls = operations(document_.paths, server);
  const hooks = operations(document_.webhooks, '');
  /** @type {{ name: string, description: string }[]} */
  const tags = document_.tags;
  const groups = tags.map((tag) => ({
    ...tag,
    items: [...calls, ...hooks].filter(({ operation }) => operation.tags.includes(tag.name)),
  }));
  replace(
    nav,
    h('a', { href: '#start' }, 'Start here'),
    groups.map(({ name, items }) => [
      h('strong', title(name)),
      items.map(({ operation }) => h('a', { href: `#${operation.operationId}` }, operation.operationId)),
    ]),
  );
  replace(
    main,
    h('h1', `${document_.info.title} HTTP API`),
    h('section', { id: 'start' }, paragraphs(document_.info.description), [
      h(
        'p',
        'For curl: this function makes a token with the credential that ',
        h('code', 'nodkey dev'),
        ' wrote. The commands below call it.',
      ),
      copyable(TOKEN, { label: 'token', block: true }),
      h('p', 'For tools: ', h('a', { href: '/openapi.json' }, '/openapi.json'), ', OpenAPI 3.1.'),
    ]),
    groups.map(({ name, description, items }) => [
      h('h2', title(name)),
      h('p', description),
      items.map((it) => section(it.server, it.method, it.path, it.operation, resolve)),
    ]),
  );
  // The URL may name a section that was not there yet.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

/**
 * @param {Record<string, Record<string, any>>} paths
 * @param {string} server
 */
function operations(paths, server) {
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => ({ path, method, server, operation: item[method] })),
  );
}

/** @param {string} name */
function title(name) {
  return name[0].toUpperCase() + name.slice(1);
}
