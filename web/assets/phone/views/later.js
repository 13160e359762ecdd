/** Every screen except those that the phone can start with. */

export { account } from './account.js';
export { history } from './history.js';
export { invited } from './invited.js';
export { pairing } from './pairing.js';
export { prompt } from './prompt.js';
export { scan } from './scan.js';
export { touch } from './touch.js';
export { handOn, transferCode } from './transfer.js';
export { noKeys, noStorage } from './unfit.js';
export { unprompted } from './unprompted.js';
