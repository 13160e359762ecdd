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
        'Phones show it above every question.',
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
        'Whose pages may make codes: one a line, at most 20. Empty: any page.',
      ),
      checkbox('match', 'The person confirms two digits that the page shows', {
        checked: matchNumber,
        hint: 'Against codes that somebody passes on to your users.',
      }),
      checkbox('unproven', 'Clients without a device key may pair', {
        checked: allowUnprovenPairing,
        hint: 'For old clients, never in production: whoever scans can say who they are.',
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
      'Faults of old SDKs that are put up with. ',
      h('code', 'nodkey_signature_tolerances_total'),
      ' counts who still makes them.',
    ],
    body: [
      checkbox('path', 'Refuse signatures over the path before it was percent-encoded', {
        checked: refuseUnescapedPath,
        hint: 'The JavaScript SDK makes them.',
      }),
      checkbox('body', 'Refuse signatures over the first 256 bytes of the body', {
        checked: refuseTruncatedBody,
        hint: 'The C SDK makes them.',
      }),
      field(
        'Most seconds the date of a request may differ',
        h('input', {
          type: 'number',
          name: 'signatures.max_date_skew_seconds',
          min: 0,
          max: 86400,
          value: maxDateSkewSeconds,
        }),
        '0 means 300, and lets dates pass that cannot be read.',
      ),
      checkbox('repeated', 'Refuse a changing request that comes again', {
        checked: refuseRepeated,
        hint: 'Clients must sign each repetition anew.',
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
    lead: 'How often people may be prompted who do not accept. What they start by a code is always let through.',
    body: [
      checkbox('tolerant', 'No budgets', {
        checked: tolerant,
        hint: 'For old clients: 20 prompts may wait for a user, and nobody has to pause.',
      }),
      checkbox('unprompted', 'Prompts may be answered without a person', {
        checked: allowUnprompted,
        hint: 'Where the backend says prompt: false. Without budgets it may anyway.',
      }),
      checkbox('six', 'Numbers to match have six digits', {
        checked: requireSixDigits,
        hint: 'Only phones whose app can take them are prompted then. Otherwise two digits go to those that cannot.',
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
      checkbox('transfers', 'Refuse that a phone hands its place to a new one', {
        checked: phones.refuseTransfers,
        hint: 'Your backend binds each new phone then.',
      }),
      checkbox('add', 'A phone may let another in beside it', {
        checked: phones.phonesAddPhones,
        hint: 'For the same user, after the person has confirmed on the first.',
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
    text: 'Devices an hour that register anew from one address',
    hint: 'Raise it before many people enroll from one office.',
  },
  {
    name: 'unboundDevices',
    field: 'limits.unbound_devices',
    text: 'Registered devices that nobody bound',
    hint: 'Beyond it no device registers anew.',
  },
  { name: 'webhookEndpoints', field: 'limits.webhook_endpoints', text: 'Webhook endpoints', hint: '' },
  {
    name: 'openTrusonafications',
    field: 'limits.open_trusonafications',
    text: 'Trusonafications in progress at once',
    hint: 'Beyond it none is created.',
  },
]);

/**
 * @param {Page} page
 * @param {RelyingParty} relyingParty
 */
function limitsCard(page, { limits = {} }) {
  return card(page, {
    title: 'Limits',
    lead: 'How much this relying party may hold. 0 is the default of the deployment.',
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
      'Hours that a binding waits for its activation',
      h('input', {
        type: 'number',
        name: 'bindings.inactive_hours',
        min: 0,
        max: 8760,
        value: bindings.inactiveHours ?? 0,
      }),
      'Then it ends, and its activation code with it. 0: it waits for ever.',
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
        'Its credentials are refused from then on: nobody can be asked any more. It cannot be undone.',
      ),
      button('Disable', disable, { look: 'danger' }),
    ),
  );

  function disable() {
    return change(
      {
        title: `Disable ${name}?`,
        body: [
          h('p', 'Nobody can be asked in its name any more. It cannot be undone.'),
          field('To go on, enter its name', h('input', { name: 'name', autocomplete: 'off' })),
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
