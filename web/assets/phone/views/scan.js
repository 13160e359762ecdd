/** Scans a code with the camera, or takes it as text. */

import { h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { readCode } from '../camera.js';
import { button, layout } from '../screen.js';

/** @type {Record<string, string>} */
const NO_CAMERA = {
  NotAllowedError: 'The camera is not allowed for this page. Allow it in the browser, or paste the code below.',
  NotFoundError: 'There is no camera. Paste the code below.',
  NotReadableError: 'Another app uses the camera. Close it, then try again.',
};

/**
 * Looks for a code, and continues with the first one.
 * @param {import('../screen.js').App} app
 * @returns {import('../screen.js').Screen}
 */
export function scan(app) {
  const leaving = new AbortController();
  const video = h('video', { muted: true, playsinline: true, 'aria-label': 'Camera' });
  const status = h('p.small', { role: 'status' }, 'Point the camera at the code on the page.');
  const again = button('small', 'Try again', () => look());
  const look = async () => {
    again.hidden = true;
    try {
      app.scanned(await readCode(video, leaving.signal));
    } catch (cause) {
      if (leaving.signal.aborted) return;
      if (!(cause instanceof DOMException)) throw cause;
      status.textContent = NO_CAMERA[cause.name] ?? 'The camera does not work. Paste the code below.';
      again.hidden = false;
    }
  };
  const input = h('input', { id: 'code', name: 'code', autocomplete: 'off', spellcheck: 'false', required: true });
  const onsubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    app.scanned(input.value);
  };
  const use = h('button.button', { type: 'submit' }, 'Use');
  void look();
  return {
    leave: () => leaving.abort(),
    element: layout({
      kind: 'scan',
      title: 'Scan a code',
      back: () => app.next(),
      body: [
        h('div.viewfinder', video, icon('qr', 40)),
        h('div.spread', status, again),
        h('form.field', { onsubmit }, h('label', { for: 'code' }, 'Or paste its text'), h('div.row', input, use)),
      ],
    }),
  };
}
