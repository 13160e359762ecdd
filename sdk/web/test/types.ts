/** Whether what the package declares is what it is. Checked by `npm run check`, never run. */

import type { NodkeyCode, NodkeyCodeEventMap } from '../index.js';
import { NodkeyCode as Source } from '../src/element.js';

/** Every member that is declared is there, and nothing public is there that is not declared. */
const declared: typeof NodkeyCode = Source as never as typeof Source & typeof NodkeyCode;
type Members<T> = Exclude<keyof T, keyof HTMLElement | `${string}Callback`>;
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
const members: Same<Members<NodkeyCode>, Members<Source>> = true;
const state: Same<NodkeyCode['state'], Source['state']> = true;
const texts: Same<NodkeyCode['texts'], Source['texts']> = true;
const restart: Same<NodkeyCode['restart'], Source['restart']> = true;

/** As pages use it. */
export function use(code: NodkeyCode): string[] {
  const ids: string[] = [];
  code.addEventListener('nodkey-paired', ({ detail }) => ids.push(detail.id));
  code.addEventListener('click', ({ clientX }) => void clientX);
  document.querySelector('nodkey-code')?.restart();
  code.texts = { paired: 'Gescannt.', ORIGIN_NOT_ALLOWED: 'Hier nicht.' };
  // @ts-expect-error: nobody sets how it stands
  code.state = 'ready';
  // @ts-expect-error: no such detail
  code.addEventListener('nodkey-error', ({ detail }: NodkeyCodeEventMap['nodkey-error']) => detail.reason);
  return ids;
}

void [declared, members, state, texts, restart];
