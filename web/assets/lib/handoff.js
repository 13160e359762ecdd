/** Hands a code to the phone in this browser: to one that is open, or else to one opened for it. */

/** Phones in this browser listen here for `{ type: 'scan', payload }` and answer `{ type: 'taken', payload }`. */
export const CHANNEL = 'nodkey-phone';

/** How long an open phone may take to answer, in milliseconds. */
const PATIENCE = 300;

/**
 * Hands a code to the phone in this browser. Call it from a click, since it may open a window.
 * @param {string} payload of the code
 * @param {string} phone path of the phone's page
 * @returns {Promise<boolean>} whether a phone that was open took it
 */
export async function handToPhone(payload, phone) {
  const taken = await offer(payload);
  if (!taken) window.open(`${phone}#scan=${encodeURIComponent(payload)}`, '_blank', 'noopener');
  return taken;
}

/**
 * @param {string} payload
 * @returns {Promise<boolean>}
 */
function offer(payload) {
  const channel = new BroadcastChannel(CHANNEL);
  /** @type {Promise<boolean>} */
  const answer = new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      if (data?.type === 'taken' && data.payload === payload) resolve(true);
    };
    setTimeout(resolve, PATIENCE, false);
  });
  channel.postMessage({ type: 'scan', payload });
  return answer.finally(() => channel.close());
}
