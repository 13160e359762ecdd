/** How a `<nodkey-code>` stands. */
export type NodkeyCodeState =
  /** There is no code that can be scanned: the next one is being fetched. */
  | 'loading'
  /** A code is shown. */
  | 'ready'
  /** A code was scanned. */
  | 'paired'
  /** No code can be shown until somebody presses the button or `restart()` is called. */
  | 'failed';

/** What a `<nodkey-code>` says. Codes of errors are keys, too: `{ ORIGIN_NOT_ALLOWED: '…' }`. */
export interface NodkeyCodeTexts {
  /** Names the code for screen readers. The attribute `label` comes first. */
  label: string;
  loading: string;
  /** For screen readers. */
  ready: string;
  /** Before the two digits, where the relying party requires them. */
  digits: string;
  /** Of the link that opens the app. */
  link: string;
  paired: string;
  /** Of the button after a failure. */
  retry: string;
  /** While a call fails and is made again, for errors without a text of their own. */
  RETRYING: string;
  /** After a failure, for errors without a text of their own. */
  FAILED: string;
  [error: string]: string;
}

/** `detail` of `nodkey-shown`. */
export interface NodkeyCodeShown {
  /** UUID. Whoever has it can ask whether the code is paired: keep it between this browser and your backend. */
  readonly id: string;
  /** What the QR code contains. */
  readonly payload: string;
  /** The two digits, where the relying party requires them. */
  readonly matchNumber?: string;
}

/** `detail` of `nodkey-error`. */
export interface NodkeyCodeFailure {
  /** `OFFLINE`, `UNREACHABLE`, `BLOCKED_BY_CSP`, `BLOCKED_BY_CORS`, `INVALID_CONFIGURATION`, `UNEXPECTED`, or an error of the gateway. */
  readonly code: string;
  /** One line, for developers. */
  readonly message: string;
  /** HTTP status, 0 if there was no response. */
  readonly status: number;
  /** Milliseconds that the gateway wants us to wait, 0 if it does not say. */
  readonly retryAfter: number;
  /** Whether the element goes on by itself. */
  readonly retrying: boolean;
}

/** The events of a `<nodkey-code>`. All bubble. */
export interface NodkeyCodeEventMap {
  /** A code is shown; again for each one that follows. */
  'nodkey-shown': CustomEvent<NodkeyCodeShown>;
  /** A code was scanned. Its id is for your backend. Unless prevented, the form is submitted that the element is in, if it has a `name`. */
  'nodkey-paired': CustomEvent<{ readonly id: string }>;
  /** A call failed. Once for failures of the same kind in a row. */
  'nodkey-error': CustomEvent<NodkeyCodeFailure>;
  'nodkey-state': CustomEvent<{ readonly state: NodkeyCodeState }>;
  /** The code was pressed, where it has the attribute `pressable`. */
  'nodkey-press': CustomEvent<{ readonly payload: string }>;
}

/** `<nodkey-code>`: shows secure QR codes until one is scanned. */
export class NodkeyCode extends HTMLElement {
  static readonly formAssociated: boolean;
  static readonly observedAttributes: string[];
  /** How it stands; `:state(paired)` in CSS. */
  get state(): NodkeyCodeState;
  /** The form it is in. */
  get form(): HTMLFormElement | null;
  /** What it says, where that is not as in English. */
  get texts(): Partial<NodkeyCodeTexts>;
  set texts(texts: Partial<NodkeyCodeTexts>);
  /** URL of the gateway; without the attribute, the gateway that served the script. */
  get gateway(): string;
  set gateway(url: string);
  /** UUID of the relying party. */
  get relyingParty(): string;
  set relyingParty(id: string);
  /** Forgets the code that was scanned, or the failure, and shows a new code. */
  restart(): void;

  addEventListener<K extends keyof NodkeyCodeEventMap>(
    type: K,
    listener: (this: NodkeyCode, event: NodkeyCodeEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: NodkeyCode, event: HTMLElementEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    'nodkey-code': NodkeyCode;
  }
}
