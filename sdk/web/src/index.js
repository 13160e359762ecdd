/** Defines `<nodkey-code>`, unless the page has another version of it already. */

import { NodkeyCode } from './element.js';

if (globalThis.customElements && !customElements.get('nodkey-code')) customElements.define('nodkey-code', NodkeyCode);

export { NodkeyCode };
