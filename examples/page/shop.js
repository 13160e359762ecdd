// The page of the shop. <nodkey-code> makes codes at the gateway; everything else is asked of the shop.

const $ = (id) => document.getElementById(id);
const say = (text) => ($('message').textContent = text);
const failed = (error) => say(`That did not work: ${error.message}`);

/** Calls the shop; throws the reason of a refusal. */
async function shop(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(path, body && { method: 'POST', headers, body: JSON.stringify(body) });
  const said = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(said.reason ?? said.detail?.reason ?? 'INVALID');
  return said;
}

/** Has the phone prompted, and waits for the answer. */
async function ask(path, body) {
  try {
    const { number } = await shop(path, body);
    say(number ? `Look at your phone. It asks for ${number}` : 'Look at your phone.');
    let status;
    do ({ status } = await shop('result'));
    while (status === 'IN_PROGRESS');
    // ACCEPTED_AT_LOWER_LEVEL is less than the shop asked for.
    const isDone = status === 'ACCEPTED' || status === 'ACCEPTED_AT_HIGHER_LEVEL';
    say(isDone ? 'Done.' : `Not done: ${status.toLowerCase().replaceAll('_', ' ')}.`);
  } catch (error) {
    failed(error);
  }
  await show().catch(failed);
}

/** Calls `ask` with what a form has, when it is submitted. */
function asks(form, path) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    ask(path, Object.fromEntries(new FormData(form)));
  });
}

/** Shows how to sign in, or who is signed in and what they ordered. */
async function show() {
  const { user, orders } = await shop('me');
  const main = document.querySelector('main');
  main.replaceChildren($(user ? 'signed-in' : 'signed-out').content.cloneNode(true));
  if (!user) {
    const code = main.querySelector('nodkey-code');
    code.addEventListener('nodkey-paired', ({ detail }) => {
      ask('sign_in/code', { code: detail.id, new_name: $('new-name').value || null });
    });
    // Only while you develop: whoever presses the code scans it with the phone in this browser.
    code.addEventListener('nodkey-press', ({ detail }) => open(`${code.gateway}/demo/phone#scan=${detail.payload}`, 'phone'));
    return asks($('by-name'), 'sign_in/name');
  }
  $('user').textContent = user;
  asks($('pay'), 'pay');
  $('sign-out').addEventListener('click', () => shop('sign_out', {}).then(() => say('')).then(show).catch(failed));
  list(orders);
}

/** Lists orders, and once more a second later while webhooks are on their way. */
function list(orders) {
  const told = ({ to, amount, state, notified }) => `${amount} to ${to}: ${state}${notified ? ', and the webhook says so' : ''}`;
  const items = orders.map((order) => Object.assign(document.createElement('li'), { textContent: told(order) }));
  $('orders')?.replaceChildren(...items);
  const again = () => $('orders') && shop('me').then((me) => list(me.orders)).catch(failed);
  if (orders.some(({ notified }) => !notified)) setTimeout(again, 1000);
}

show().catch(failed);
