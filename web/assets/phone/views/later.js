/** Every screen but those that a phone can open with. */

export { account } from './account.js';
export { invited } from './invited.js';
export { pairing } from './pairing.js';
export { question } from './question.js';
export { scan } from './scan.js';
export { touch } from './touch.js';
export { handOn, transferCode } from './transfer.js';
export { noKeys, noStorage } from './unfit.js';
export { unprompted } from './unprompted.js';
