/** Reads a QR code with the camera. */

/** @typedef {{detect(image: HTMLVideoElement): Promise<{rawValue: string}[]>}} Detector */

/** Pause between frames without a code, in milliseconds. */
const PAUSE = 120;

/**
 * Shows the camera in `video` and resolves to the text of the first code it sees. Rejects when there is no camera, when it is not
 * allowed, or when `signal` is aborted. The camera is always off afterwards.
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
 * The browser's own detector if it reads QR codes, else ours, which is 33 KB and loaded only then.
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
