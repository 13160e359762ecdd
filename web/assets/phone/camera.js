/** Reading a QR code by the camera. */

/** @typedef {{detect(image: HTMLVideoElement): Promise<{rawValue: string}[]>}} Detector */

/** How long after a frame without a code the next one is looked at, in milliseconds. */
const PAUSE = 120;

/**
 * Shows the camera in `video` and resolves to the text of the first code it sees. Rejects when there is no camera, or it is
 * not allowed, or `signal` is aborted; the camera is off then.
 * @param {HTMLVideoElement} video
 * @param {AbortSignal} signal
 * @returns {Promise<string>}
 */
export async function readCode(video, signal) {
  const camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  try {
    video.srcObject = camera;
    const [detector] = await Promise.all([makeDetector(), video.play()]);
    for (;;) {
      signal.throwIfAborted();
      const [code] = await detector.detect(video);
      if (code) return code.rawValue;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  } finally {
    for (const track of camera.getTracks()) track.stop();
    video.srcObject = null;
  }
}

/**
 * The browser's own detector where it has one for QR codes, else ours: 33 KB that are loaded only then.
 * @returns {Promise<Detector>}
 */
async function makeDetector() {
  const options = { formats: /** @type {'qr_code'[]} */ (['qr_code']) };
  const { BarcodeDetector: Native } = /** @type {any} */ (globalThis);
  const formats = (await Native?.getSupportedFormats().catch(() => null)) ?? [];
  if (formats.includes('qr_code')) return new Native(options);
  const { BarcodeDetector } = await import('../vendor/qr/decode.js');
  return new BarcodeDetector(options);
}
