/** Settings of one relying party. */
import { copyable, h, replace, toast } from '../../lib/dom.js';
import { checkbox, clearRefusal, field, showRefusal } from '../../lib/form.js';
import { exactly } from '../../lib/format.js';
import { Problem } from '../../lib/problem.js';
import { badge } from '../names.js';
import { loadRelyingParties } from '../relying_parties.js';
import { button, facts, heading } from '../ui/elements.js';
import { change } from '../ui/dialogs.js';
import { eventually } from '../ui/states.js';
import { appLinksCard } from './settings/app_links.js';
import { pushCard } from './settings/push.js';
import { retentionCard } from './settings/retention.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../relying_parties.js').RelyingParty} RelyingParty */
/** @typedef {import('../../lib/dom.js').Child} Child */

const SERVICE = 'registry.v1.RelyingPartyService';

/**
 * Shows the view.
 * @param {Page} page
 */
export async function show(page) {
  const place = h('div');
  replace(page.main, heading('Settings'), place);
  await eventually(place, page.signal, async () => {
    const relyingParty = await page.read(`${SERVICE}/GetRelyingParty`, { id: page.relyingParty });
    return h(
      'div.stack.wide.settings',
      generalCard(page, relyingParty),
      trucodesCard(page, relyingParty),
      promptsCard(page, relyingParty),
      signaturesCard(page, relyingParty),
      limitsCard(page, relyingParty),
      bindingsCard(page, relyingParty),
      phonesCard(page, relyingParty),
      pushCard(page),
      appLinksCard(page),
      retentionCard(page),
      page.mayOwn && !relyingParty.disabled && dangerCard(page, relyingParty),
    );
  });
}

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function generalCard(page, { id, name, disabled, createdAt }) {
  return card(page, {
    title: 'General',
    state: disabled && badge({ text: 'Disabled' }),
    body: [
      field(
        'Name',
        h('input', { name: 'name', value: name, maxlength: 100, autocomplete: 'off' }),
        'Phones show it with every request.',
      ),
      facts([
        ['Id', copyable(id, { label: 'id' })],
        ['Created', exactly(new Date(createdAt))],
      ]),
    ],
    change: (form) => ({ name: form.get('name') }),
  });
}

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function trucodesCard(page, { trucodes = {} }) {
  const { allowedOrigins = [], matchNumber, allowUnprovenPairing } = trucodes;
  return card(page, {
    title: 'Secure QR codes',
    body: [
      field(
        'Allowed origins',
        h('textarea.mono', {
          name: 'trucodes.allowed_origins',
          placeholder: 'https://shop.example.com',
          spellcheck: 'false',
          value: allowedOrigins.join('\n'),
        }),
        'Origins of the pages that may create codes, one per line, at most 20. Empty: any page.',
      ),
      checkbox('match', 'The user confirms two digits that the page shows', {
        checked: matchNumber,
        hint: 'Protects against codes that an attacker forwards to your users.',
      }),
      checkbox('unproven', 'Clients without a device key may pair', {
        checked: allowUnprovenPairing,
        hint: 'For old clients. Not for production: a client that scans the code can claim any identity.',
      }),
    ],
    change: (form) => ({
      trucodes: {
        allowedOrigins: String(form.get('trucodes.allowed_origins')).split(/\s+/).filter(Boolean),
        matchNumber: form.has('match'),
        allowUnprovenPairing: form.has('unproven'),
      },
    }),
  });
}

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function signaturesCard(page, { signatures = {} }) {
  const { refuseUnescapedPath, refuseTruncatedBody, maxDateSkewSeconds = 0, refuseRepeated } = signatures;
  return card(page, {
    title: 'Request signatures',
    lead: [
      'Tolerated signature errors of old SDKs. ',
      h('code', 'nodkey_signature_tolerances_total'),
      ' counts how often they still occur.',
    ],
    body: [
      checkbox('path', 'Refuse signatures over the path before it was percent-encoded', {
        checked: refuseUnescapedPath,
        hint: 'The JavaScript SDK creates them.',
      }),
      checkbox('body', 'Refuse signatures over the first 256 bytes of the body', {
        checked: refuseTruncatedBody,
        hint: 'The C SDK creates them.',
      }),
      field(
        'Maximum clock difference of a request, in seconds',
        h('input', {
          type: 'number',
          name: 'signatures.max_date_skew_seconds',
          min: 0,
          max: 86400,
          value: maxDateSkewSeconds,
        }),
        '0: 300 seconds, and unreadable dates are accepted.',
      ),
      checkbox('repeated', 'Refuse repeated requests that change something', {
        checked: refuseRepeated,
        hint: 'Clients must sign each retry again.',
      }),
    ],
    change: (form) => ({
      signatures: {
        refuseUnescapedPath: form.has('path'),
        refuseTruncatedBody: form.has('body'),
        maxDateSkewSeconds: Number(form.get('signatures.max_date_skew_seconds')),
        refuseRepeated: form.has('repeated'),
      },
    }),
  });
}

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function promptsCard(page, { prompts = {} }) {
  const { tolerant, allowUnprompted, requireSixDigits } = prompts;
  return card(page, {
    title: 'Prompts',
    lead: 'Limits on prompts to users who do not accept them. Requests that users start with a QR code are always allowed.',
    body: [
      checkbox('tolerant', 'No prompt limits', {
        checked: tolerant,
        hint: 'For old clients: up to 20 prompts per user in progress, and no pauses.',
      }),
      checkbox('unprompted', 'Prompts may be answered without the user', {
        checked: allowUnprompted,
        hint: 'For requests with prompt: false. Always allowed without prompt limits.',
      }),
      checkbox('six', 'Require six digits for number matching', {
        checked: requireSixDigits,
        hint: 'Only phones whose app supports six digits are prompted. Otherwise apps without support get two digits.',
      }),
    ],
    change: (form) => ({
      prompts: {
        tolerant: form.has('tolerant'),
        allowUnprompted: form.has('unprompted'),
        requireSixDigits: form.has('six'),
      },
    }),
  });
}

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function phonesCard(page, { phones = {} }) {
  return card(page, {
    title: 'Phones',
    body: [
      checkbox('transfers', 'Refuse transfers from a phone to its replacement', {
        checked: phones.refuseTransfers,
        hint: 'The backend binds each new phone instead.',
      }),
      checkbox('add', 'A phone may add another phone', {
        checked: phones.phonesAddPhones,
        hint: 'For the same user, after the user confirms on the first phone.',
      }),
    ],
    change: (form) => ({ phones: { refuseTransfers: form.has('transfers'), phonesAddPhones: form.has('add') } }),
  });
}

/** By the name of the field, and of the field in an error. */
const LIMITS = /** @type {const} */ ([
  {
    name: 'registrationsPerAddress',
    field: 'limits.registrations_per_address',
    text: 'New device registrations per hour and address',
    hint: 'Raise it before many people enroll from one office.',
  },
  {
    name: 'unboundDevices',
    field: 'limits.unbound_devices',
    text: 'Registered devices without a binding',
    hint: 'At the limit, new registrations are refused.',
  },
  { name: 'webhookEndpoints', field: 'limits.webhook_endpoints', text: 'Webhook endpoints', hint: '' },
  {
    name: 'openTrusonafications',
    field: 'limits.open_trusonafications',
    text: 'Trusonafications in progress',
    hint: 'At the limit, new ones are refused.',
  },
]);

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function limitsCard(page, { limits = {} }) {
  return card(page, {
    title: 'Limits',
    lead: 'Limits of this relying party. 0: the default of the deployment.',
    body: LIMITS.map((limit) =>
      field(
        limit.text,
        h('input', { type: 'number', name: limit.field, min: 0, value: limits[limit.name] ?? 0 }),
        limit.hint,
      ),
    ),
    change: (form) => ({
      limits: Object.fromEntries(LIMITS.map((limit) => [limit.name, Number(form.get(limit.field))])),
    }),
  });
}

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function bindingsCard(page, { bindings = {} }) {
  return card(page, {
    title: 'Bindings',
    body: field(
      'Hours until an inactive binding expires',
      h('input', {
        type: 'number',
        name: 'bindings.inactive_hours',
        min: 0,
        max: 8760,
        value: bindings.inactiveHours ?? 0,
      }),
      'Its activation code expires with it. 0: never.',
    ),
    change: (form) => ({ bindings: { inactiveHours: Number(form.get('bindings.inactive_hours')) } }),
  });
}

/**
 * A form that saves by itself; who may not act sees what it holds.
 * @param {Page} page
 * @param {{ title: string, lead?: Child, state?: Child, body: Child, change: (form: FormData) => object }} options `change` makes the update
 */
function card(page, { title, lead, state, body, change }) {
  const refusal = h('div.refusal');
  const save = h('button.button.primary', { type: 'submit', disabled: true }, 'Save');
  const form = h(
    'form.card',
    { novalidate: true, 'aria-label': title },
    h('header', h('div.stack.tight', h('div.row', h('h2', title), state), lead && h('p.small.muted', lead))),
    h('fieldset.stack', { disabled: !page.mayAct }, refusal, body),
    page.mayAct && h('footer', save),
  );
  form.addEventListener('input', () => (save.disabled = false));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    save.ariaBusy = 'true';
    clearRefusal(form, refusal);
    try {
      await page.act(`${SERVICE}/UpdateRelyingParty`, { id: page.relyingParty, ...change(new FormData(form)) });
      await loadRelyingParties();
      save.disabled = true;
      toast('Saved');
    } catch (cause) {
      showRefusal(form, refusal, cause);
    } finally {
      save.ariaBusy = null;
    }
  });
  return form;
}

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function dangerCard(page, { id, name }) {
  return h(
    'section.card',
    h('header', h('h2', 'Disable this relying party')),
    h(
      'div.spread',
      h(
        'p.muted.small',
        'Its credentials are refused from then on, and no requests can be sent to its users. This cannot be undone.',
      ),
      button('Disable', disable, { look: 'danger' }),
    ),
  );

  function disable() {
    return change(
      {
        title: `Disable ${name}?`,
        body: [
          h('p', 'No requests can be sent to its users any more. This cannot be undone.'),
          field('To confirm, enter its name', h('input', { name: 'name', autocomplete: 'off' })),
        ],
        submit: 'Disable',
        danger: true,
        act: async (form) => {
          if (form.get('name') !== name)
            throw new Problem(422, 'VALIDATION_FAILED', '', { fieldErrors: { name: [`must be ${name}`] } });
          await page.act(`${SERVICE}/DisableRelyingParty`, { id });
          await loadRelyingParties();
        },
      },
      'Disabled',
      () => show(page),
    );
  }
}
