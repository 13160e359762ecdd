/** How other devices reach a Nodkey that was started to be tried. */

/** Serves every address of the machine, by https: browsers keep keys for no other. */
export const REACHABLE =
  'make dev ARGS="--tls --http 0.0.0.0:7070 --public-url https://<this machine\'s address>:7070"';
