/** Signing in: a code for the operator's phone, and what the phone has said. */
import { backoff } from '../lib/pause.js';
import { copyable, h, replace } from '../lib/dom.js';
import { handToPhone } from '../lib/handoff.js';
import { icon, mark } from '../lib/icons.js';
import { Problem } from '../lib/problem.js';
import { qrSvg } from '../lib/qr.js';
import { signInStatus, startSignIn } from './api.js';

const PHONE = '/console/phone';

/** How long before its end a code is replaced, in milliseconds: as long as it takes to scan it. */
const MARGIN = 5000;
/** The least and the most a code is shown, in milliseconds, should the clock of this machine be wrong. */
const SHOWN = { least: 10_000, most: 60_000 };

/** @type {Record<string, { title: string, text: string }>} */
const ENDINGS = {
  REJECTED: { title: 'Rejected on the phone', text: 'You are not signed in.' },
  EXPIRED: { title: 'The request expired', text: 'You are not signed in.' },
  REFUSED: {
    title: 'This phone does not belong to an operator',
    text: 'Scan with the phone that accepted your invitation, or request an invitation from an owner.',
  },
};

/**
 * Shows the sign-in in place of everything, and calls back when it has succeeded.
 * @param {string} reason why it is shown, when it was not asked for
 * @param {() => void} onSignedIn
 */
export function showSignIn(reason, onSignedIn) {
  const place = h('div.code-place');
  const status = h('p.sign-in-status', { role: 'status' }, reason);
  const card = h(
    'div.card.stack',
    h('h1', 'Sign in'),
    h('p.muted', 'Scan this code with the phone that accepted your invitation.'),
    place,
    status,
    phoneHint(),
  );
  replace(document.body, h('main.sign-in', h('div.logo', mark(26), 'Nodkey'), card, invitationHint()));
  document.title = 'Sign in · Nodkey';
  void attempt();

  async function attempt() {
    try {
      await untilSignedIn(place, status);
      status.textContent = 'Signed in.';
      onSignedIn();
    } catch (cause) {
      const { title, text } = cause instanceof Ending ? ENDINGS[cause.status] : trouble(cause);
      const again = h(
        'button.button.primary',
        { type: 'button', onclick: attempt },
        icon('refresh'),
        'Show a new code',
      );
      replace(place, h('div.empty', icon('alert', 24), h('strong', title), h('p', text), again));
      status.textContent = '';
      again.focus();
    }
  }
}

/** A sign-in that came to an end without success. */
class Ending extends Error {
  /** @param {string} status */
  constructor(status) {
    super(status);
    this.status = status;
  }
}

/** @param {unknown} cause */
function trouble(cause) {
  if (cause instanceof Problem) return { title: 'No code available', text: cause.message };
  throw cause;
}

/**
 * Shows one code after the other until a phone has taken one and said yes.
 * @param {Element} place
 * @param {Element} status
 */
async function untilSignedIn(place, status) {
  for (;;) {
    const code = await startSignIn(AbortSignal.timeout(30_000));
    const left = Date.parse(code.expires_at) - Date.now() - MARGIN;
    const lifetime = Math.min(Math.max(left, SHOWN.least), SHOWN.most);
    replace(place, codeButton(code.payload, lifetime, status));
    if ((await outcome(lifetime, () => taken(place, status))) === 'ACCEPTED') return;
    // Nobody looks at the code: the next one can wait.
    await visible();
  }
}

/**
 * Returns what the phone said, or that the code is over: only a code that nobody has scanned.
 * @param {number} lifetime milliseconds
 * @param {() => void} onScanned
 */
async function outcome(lifetime, onScanned) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), lifetime);
  /** @type {import('./api.js').SignInStatus} */
  let status = 'WAITING';
  for (let failures = 0; ;) {
    try {
      status = await signInStatus(status, controller.signal);
      failures = 0;
    } catch (cause) {
      if (controller.signal.aborted) return 'OVER';
      if (!(cause instanceof Problem && cause.isPassing)) throw cause;
      await backoff(failures++, AbortSignal.timeout(60_000));
    }
    if (status === 'ACCEPTED') return status;
    if (status in ENDINGS) throw new Ending(status);
    if (status === 'SCANNED') {
      clearTimeout(timer);
      onScanned();
    }
  }
}

/**
 * @param {Element} place
 * @param {Element} status
 */
function taken(place, status) {
  status.textContent = 'Scanned. Accept on your phone.';
  replace(place, h('div.scan-code.scanned', icon('phone', 40), h('span.spinner')));
}

function visible() {
  if (!document.hidden) return;
  return new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
}

/**
 * @param {string} payload
 * @param {number} lifetime milliseconds
 * @param {Element} status
 */
function codeButton(payload, lifetime, status) {
  const label = 'Open this code in the phone of this browser';
  const bar = h('span.lifetime', { style: { '--lifetime': `${lifetime}ms` } });
  const button = h('button.scan-code', { type: 'button', title: label, 'aria-label': label }, qrSvg(payload), bar);
  button.addEventListener('click', async () => {
    const taken = await handToPhone(payload, PHONE);
    status.textContent = taken ? 'Opened in the phone of this browser.' : 'Continue in the phone that opened.';
  });
  return button;
}

function phoneHint() {
  return h(
    'p.small.muted',
    'No phone with you? ',
    h('a', { href: PHONE, target: '_blank', rel: 'noopener' }, 'Open the phone in this browser'),
    ', then click the code.',
  );
}

function invitationHint() {
  const command = 'nodkey admin operators invite "Ada" --role owner';
  return h(
    'details.invitation',
    h('summary', 'No invitation yet?'),
    h(
      'div.stack',
      h(
        'p',
        'Request an invitation from an owner, or run this command on the server. Open the link that it prints on your phone.',
      ),
      copyable(command, { label: 'the command', block: true }),
    ),
  );
}
