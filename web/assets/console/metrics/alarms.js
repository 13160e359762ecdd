/** What an operator should look at now; see "At 3 a.m." in docs/operations.md. */
import { duration } from '../../lib/format.js';

/** @typedef {import('./measure.js').Measurement} Measurement */
/** @typedef {{ title: string, text: string }} Alarm */

/** Seconds after which a waiting event or delivery is a matter for people. */
const EVENT_LATE = 60;
const CONSUMER_LATE = 60;
const DELIVERY_LATE = 3600;

/**
 * Lists what is wrong, by the latest measurement.
 * @param {Measurement} now
 * @returns {Alarm[]}
 */
export function alarms(now) {
  const found = [];
  if (now.busAway) {
    found.push({
      title: 'The bus is away',
      text: 'A process is not connected to NATS. Logins go on; events and webhooks wait.',
    });
  }
  if (now.consumersRetrying > CONSUMER_LATE) {
    found.push({
      title: `An event has been failing for ${duration(now.consumersRetrying * 1000)}`,
      text: 'Its consumer tries again for ever. The log has the cause: "event failed, trying again".',
    });
  }
  if (now.outboxOldest > EVENT_LATE) {
    found.push({
      title: `Events have been waiting for ${duration(now.outboxOldest * 1000)}`,
      text: 'The bus does not take them: NATS is away, full or without its streams. Logins go on; webhooks wait.',
    });
  }
  if (now.deliveriesOldest > DELIVERY_LATE) {
    found.push({
      title: `A delivery has been waiting for ${duration(now.deliveriesOldest * 1000)}`,
      text: 'A receiver is away. Its endpoint is marked as failing; attempts end after three days.',
    });
  }
  if (now.deadLetters > 0) {
    found.push({
      title: 'There are dead letters',
      text: 'Since the processes started a consumer gave an event up. The log has the cause: "event given up".',
    });
  }
  if (now.pushesRefused > 0) {
    found.push({
      title: 'A push provider has refused',
      text: 'Credentials of a relying party are wrong. Its settings say which. Phones that wait see what they are asked all the same.',
    });
  }
  if (now.unnamedProxy) {
    found.push({
      title: 'Clients cannot be told apart',
      text: 'A proxy is before the gateway, and service.address_header does not say where it names them: nothing is limited by address.',
    });
  }
  if (now.certificateInvalid) {
    found.push({
      title: 'The TLS certificate cannot be used',
      text: 'The files hold no usable pair. The one before is in use.',
    });
  }
  return found;
}
