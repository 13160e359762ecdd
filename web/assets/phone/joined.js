/** Detects that another phone was added to the user's account, which the person has to be shown. */

/**
 * When the latest phone was activated after this one that the person has not confirmed, in milliseconds; undefined if there is none.
 * @param {import('./protocol.js').UserDevice[]} devices the user's
 * @param {number} [knownUntil] activation time up to which the person has confirmed all phones, in milliseconds
 * @returns {number | undefined}
 */
export function latestUnknown(devices, knownUntil = 0) {
  const own = devices.find((device) => device.is_this);
  if (!own) return undefined;
  const latest = Math.max(...devices.map((device) => Date.parse(device.activated_at)));
  return latest > Math.max(knownUntil, Date.parse(own.activated_at)) ? latest : undefined;
}
