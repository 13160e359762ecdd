/** How other devices reach a Nodkey that runs for a trial. */

/** Serves all addresses of the machine over https, without which browsers provide no keys to other machines. */
export const REACHABLE =
  'make dev ARGS="--tls --http 0.0.0.0:7070 --public-url https://<this machine\'s address>:7070"';
