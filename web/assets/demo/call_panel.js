/** The panel beside the bank: the calls and events of each step, as they happen. */

import { copyable, h, replace } from '../lib/dom.js';
import { curl } from './curl.js';
import { STEPS } from './steps.js';

/** @typedef {import('./call_log.js').CallLog} CallLog */
/** @typedef {import('./call_log.js').Entry} Entry */

/**
 * Fills the panel, and keeps it current.
 * @param {HTMLElement} panel
 * @param {CallLog} log
 * @param {string} gateway the deployment's public URL
 */
export function showCalls(panel, log, gateway) {
  const list = h('ol.calls', { 'aria-label': 'Calls and events' });
  const nothing = h('p.small.muted', 'The calls of each step appear here as they happen.');
  replace(
    panel,
    h('h2', 'Calls and events'),
    h(
      'p.small.muted',
      'What the bank sends to Nodkey and gets back. Its backend uses the SDK over gRPC; shown are the same calls of the HTTP API. ',
      'To repeat one, set $TOKEN to ',
      h('a', { href: '/docs', target: '_blank' }, 'a bearer token of the backend'),
      '.',
    ),
    nothing,
    list,
  );
  /** @type {Entry[]} */
  let shown = [];
  const update = () => {
    const { entries } = log;
    nothing.hidden = entries.length > 0;
    // Entries that stay the same keep their elements: one may be open, or have the focus.
    shown.forEach((entry, i) => !entries.includes(entry) && list.children[i].classList.add('dropped'));
    for (const dropped of list.querySelectorAll('.dropped')) dropped.remove();
    const steps = stepsOf(entries);
    entries.forEach((entry, i) => {
      if (!shown.includes(entry)) list.append(row(entry, steps[i], gateway));
    });
    shown = entries;
  };
  log.addEventListener('change', update);
  update();
}

/**
 * The step of each entry: by its path or its action, or else that of the same trusonafication.
 * @param {Entry[]} entries
 * @returns {number[]}
 */
function stepsOf(entries) {
  /** @type {Map<string, number>} */
  const byId = new Map();
  return entries.map((entry) => {
    if (entry.kind === 'event') return stepOfAction(entry.data.action);
    const { path, request, response } = /** @type {{path: string, request?: any, response?: any}} */ (entry);
    if (path.startsWith('/api/v2/user_devices')) return 1;
    if (path.endsWith('/evidence')) return 4;
    const step = request?.action ? stepOfAction(request.action) : (byId.get(path.split('/')[4]) ?? 2);
    if (response?.id) byId.set(response.id, step);
    return step;
  });
}

/** @param {string} action */
function stepOfAction(action) {
  return action.startsWith('transfer') ? 3 : 2;
}

/**
 * @param {Entry} entry
 * @param {number} step
 * @param {string} gateway
 */
function row(entry, step, gateway) {
  const label = h('span.small.muted', { title: STEPS[step - 1] }, `Step ${step}`);
  if (entry.kind === 'event') {
    const repeated = {
      by: /** @type {const} */ ('backend'),
      method: 'GET',
      path: `/api/v2/trusonafications/${entry.data.id}`,
    };
    return item(
      [h('span.badge.info', 'Event'), h('code.grow', entry.name), label],
      [body('Data', entry.data), command('Read it again', gateway, repeated)],
    );
  }
  const { by, method, path, request, status, response } = entry;
  return item(
    [
      h('span.badge', method),
      h('code.grow', path),
      h('span.num', { class: status < 400 ? 'ok' : 'bad' }, status),
      label,
    ],
    [
      h('p.small.muted', by === 'page' ? 'Called by the page.' : 'Called by the backend.'),
      request !== undefined && body('Request', request),
      response !== undefined && body('Response', response),
      command('As curl', gateway, entry),
    ],
  );
}

/**
 * @param {import('../lib/dom.js').Child} summary
 * @param {import('../lib/dom.js').Child} content
 */
function item(summary, content) {
  return h('li', h('details', h('summary', summary), content));
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function body(name, value) {
  const text = { tabindex: 0, role: 'group', 'aria-label': name };
  return h('div', h('h3', name), h('pre.code', text, JSON.stringify(value, null, 2)));
}

/**
 * @param {string} name
 * @param {string} gateway
 * @param {import('./curl.js').ShownCall} call
 */
function command(name, gateway, call) {
  return h('div', h('h3', name), copyable(curl(gateway, call), { label: 'curl command', block: true }));
}
