// The page of the shop. Codes are made at the gateway, as docs/guides/secure-qr.md says; everything else is asked of the shop.

const OVERLAP = 10_000; // milliseconds before the end of a code at which the next one takes its place
const $ = (id) => document.getElementById(id);
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));

/** Calls the shop; throws the reason of a refusal. */
async function shop(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(path, body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) });
  const said = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(said.reason ?? said.detail?.reason ?? 'refused');
  return said;
}

/** Calls the gateway until there is an answer: networks fail, and 429 and 503 pass. */
async function insist(url, options) {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(70_000) }).catch(() => null);
    if (answer?.ok) return answer.json();
    if (answer && answer.status !== 429 && answer.status !== 503) throw new Error((await answer.json()).error);
    await sleep(Number(answer?.headers.get('retry-after') ?? 0) * 1000 + Math.random() * 500 * 2 ** Math.min(attempt, 5));
  }
}

let offering = 0;

/** Shows one code after the other while nobody is signed in, and signs in whoever scans one. */
async function offer() {
  const mine = (offering += 1);
  const { gateway, relying_party } = await shop('config');
  const headers = { 'Content-Type': 'application/json' };
  while (mine === offering) {
    const code = await insist(`${gateway}/api/v2/trucodes`, { method: 'POST', headers, body: JSON.stringify({ relying_party_id: relying_party }) });
    if (mine !== offering) return;
    $('code').src = `qr.svg?payload=${encodeURIComponent(code.payload)}`;
    $('code').dataset.payload = code.payload;
    $('digits').textContent = code.match_number ? `Your phone asks for ${code.match_number}` : '';
    insist(`${gateway}/api/v2/trucodes/${code.id}`)
      .then(async ({ paired }) => {
        if (!paired || mine !== offering) return;
        offering += 1;
        await ask('sign_in/code', { code: code.id, new_name: $('new-name').value || null });
      })
      .catch(failed);
    const [, claims] = code.payload.split('.');
    await sleep(JSON.parse(atob(claims)).exp - OVERLAP - Date.now());
  }
}

/** Has the phone asked, and waits for the answer. */
async function ask(path, body) {
  try {
    const { number } = await shop(path, body);
    $('message').textContent = number ? `Look at your phone. It asks for ${number}` : 'Look at your phone.';
    let status;
    do ({ status } = await shop('result'));
    while (status === 'IN_PROGRESS');
    // ACCEPTED_AT_LOWER_LEVEL is less than the shop asked for.
    const done = status === 'ACCEPTED' || status === 'ACCEPTED_AT_HIGHER_LEVEL';
    $('message').textContent = done ? 'Done.' : `Not done: ${status.toLowerCase()}.`;
  } catch (error) {
    failed(error);
  }
  await show();
}

function failed(error) {
  $('message').textContent = `That did not work: ${error.message}`;
}

/** Shows who is signed in, and what they ordered. */
async function show() {
  const { user, orders } = await shop('me');
  $('signed-in').hidden = !user;
  $('signed-out').hidden = Boolean(user);
  $('user').textContent = user ?? '';
  const items = orders.map(({ to, amount, paid }) => Object.assign(document.createElement('li'), { textContent: `${amount} to ${to}: ${paid ? 'paid' : 'not paid'}` }));
  $('orders').replaceChildren(...items);
  if (user) {
    offering += 1;
    // It is taken now: the next scan signs in.
    $('new-name').value = '';
  } else offer().catch(failed);
}

const fields = (form) => Object.fromEntries(new FormData(form));
$('by-name').addEventListener('submit', (event) => (event.preventDefault(), ask('sign_in/name', fields(event.target))));
$('pay').addEventListener('submit', (event) => (event.preventDefault(), ask('pay', fields(event.target))));
$('sign-out').addEventListener('click', async () => {
  $('message').textContent = '';
  await shop('sign_out', {}).then(show, failed);
});
show().catch(failed);
