/** Whether another phone joined the user's: whoever had one added by somebody else has to see it. */

/**
 * When the latest phone was activated that came after this one and that the person does not know of, in milliseconds; nothing where there is none.
 * @param {import('./protocol.js').UserDevice[]} devices the user's
 * @param {number} [knownUntil] until when the person knows of all phones, in milliseconds
 * @returns {number | undefined}
 */
export function latestUnknown(devices, knownUntil = 0) {
  const own = devices.find((device) => device.is_this);
  if (!own) return undefined;
  const latest = Math.max(...devices.map((device) => Date.parse(device.activated_at)));
  return latest > Math.max(knownUntil, Date.parse(own.activated_at)) ? latest : undefined;
}
