/** One operation: what it does, takes and returns. */

import { copyable, h } from '../lib/dom.js';
import { curl } from './curl.js';
import { paragraphs, prose } from './prose.js';
import { kind, members } from './schema.js';

/** @typedef {import('./curl.js').Operation} Operation */
/** @typedef {import('./curl.js').Answer} Answer */
/** @typedef {(value: any) => any} Resolve */

/** The callers, by security scheme. */
const CALLERS = new Map([
  ['bearer', 'Backends'],
  ['mobile', 'Apps that register a phone'],
  ['dpop', 'Phones'],
]);

/**
 * @param {string} server URL of the deployment; empty for a webhook, which clients do not call
 * @param {string} method
 * @param {string} path
 * @param {Operation} operation
 * @param {Resolve} resolve follows a reference
 * @returns {HTMLElement}
 */
export function section(server, method, path, operation, resolve) {
  const { operationId: id, summary = '', description = '' } = operation;
  const body = operation.requestBody?.content['application/json'];
  const parameters = (operation.parameters ?? []).map(resolve);
  return h(
    'section.operation',
    { id, 'aria-labelledby': `${id}-title` },
    h('h3', { id: `${id}-title` }, h('a', { href: `#${id}` }, summary || id)),
    h('p.target', h('span.badge.info', method.toUpperCase()), ' ', h('code', path)),
    description && paragraphs(description),
    server && h('p.muted', callers(operation)),
    server && copyable(curl(server, method, path, operation, resolve), { label: 'command', block: true }),
    parameters.length > 0 && [
      h('h4', 'Parameters'),
      h(
        'div.table-scroll',
        h(
          'table.table',
          h(
            'tbody',
            parameters.map(({ name, in: place, required, schema, description: text = '' }) =>
              h(
                'tr',
                h('th', { scope: 'row' }, h('code', name), required ? null : h('span.muted', ' optional')),
                h('td', h('span.muted', `${place}, ${kind(schema, resolve)}`), text && h('div', prose(text))),
              ),
            ),
          ),
        ),
      ),
    ],
    body && [h('h4', 'Body'), members(body.schema, resolve), !server && example(body.example, 'body')],
    server && [
      h('h4', 'Responses'),
      Object.entries(operation.responses).map(([status, it]) => answer(status, it, resolve)),
    ],
  );
}

/** @param {Operation} operation */
function callers({ security = [] }) {
  const schemes = security.flatMap((one) => Object.keys(one));
  const [caller] = schemes.map((scheme) => CALLERS.get(scheme)).filter(Boolean);
  return caller ? `${caller} call this.` : 'Anybody can call this.';
}

/**
 * @param {string} status
 * @param {Answer} it
 * @param {Resolve} resolve
 */
function answer(status, it, resolve) {
  const [media] = Object.values(it.content ?? {});
  const tone = status.startsWith('2') ? 'ok' : 'muted';
  return h(
    'details',
    h('summary', h('span.badge', { class: tone }, status), ' ', prose(it.description)),
    status.startsWith('2') && media && members(media.schema, resolve),
    media && example(media.example, `response ${status}`),
  );
}

/**
 * @param {unknown} value
 * @param {string} label
 */
function example(value, label) {
  if (value === undefined) return null;
  return copyable(typeof value === 'string' ? value : JSON.stringify(value, null, 2), { label, block: true });
}
