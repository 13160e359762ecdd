/** What an operator should look at now; see docs/operations/night.md. */
import { duration } from '../../lib/format.js';

/** @typedef {import('./measure.js').Measurement} Measurement */
/** @typedef {{ title: string, text: string }} Alarm */

/** Seconds after which a waiting event or delivery is a matter for people. */
const EVENT_LATE = 60;
const CONSUMER_LATE = 60;
const CONSUMER_STUCK = 600;
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
      title: 'The bus is not connected',
      text: 'A process is not connected to NATS. Logins continue. Events and webhooks wait.',
    });
  }
  if (now.consumersRetrying > CONSUMER_LATE) {
    found.push({
      title: `An event has been failing for ${duration(now.consumersRetrying * 1000)}`,
      text: 'Its consumer keeps retrying. The log has the cause: "event failed, trying again".',
    });
  }
  if (now.consumersOldest > CONSUMER_STUCK) {
    found.push({
      title: `An event has waited for its consumer for ${duration(now.consumersOldest * 1000)}`,
      text: 'The consumer fails, hangs or does not run. It gets everything later. Logins continue.',
    });
  }
  if (now.outboxOldest > EVENT_LATE) {
    found.push({
      title: `Events have been waiting for ${duration(now.outboxOldest * 1000)}`,
      text: 'The bus does not accept them: NATS is not reachable, full, or its streams are missing. Logins continue. Webhooks wait.',
    });
  }
  if (now.endpointsFailing > 0) {
    found.push({
      title:
        now.endpointsFailing === 1
          ? '1 webhook endpoint fails every attempt'
          : `${now.endpointsFailing} webhook endpoints fail every attempt`,
      text: 'Their deliveries show why. They are switched off after some days.',
    });
  }
  if (now.deliveriesOldest > DELIVERY_LATE) {
    found.push({
      title: `A delivery has been waiting for ${duration(now.deliveriesOldest * 1000)}`,
      text: 'A receiver does not accept it. Its endpoint is marked as failing. Attempts end after three days.',
    });
  }
  if (now.deadLetters > 0) {
    found.push({
      title: 'There are dead letters',
      text: 'A consumer gave up an event. The overview lists them with their causes, to be replayed or dropped.',
    });
  }
  if (now.pushesRefused > 0) {
    found.push({
      title: 'A push provider has refused',
      text: 'The push credentials of a relying party are not valid. Its settings show which ones. Phones with an open app still receive requests.',
    });
  }
  if (now.unnamedProxy) {
    found.push({
      title: 'Clients cannot be distinguished',
      text: 'The gateway is behind a proxy, and service.address_header is not set: nothing is limited by address.',
    });
  }
  if (now.certificateInvalid) {
    found.push({
      title: 'The TLS certificate cannot be used',
      text: 'The files contain no usable certificate and key. The previous certificate is in use.',
    });
  }
  return found;
}
