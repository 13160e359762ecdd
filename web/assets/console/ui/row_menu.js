/** What can be done with a row, behind one button. */
import { h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { button } from './elements.js';

/** @typedef {{ text: string, danger?: boolean, act: () => unknown }} Item */

/**
 * Makes the button; the menu is there only while it is open.
 * @param {string} name of the row, for screen readers
 * @param {(Item | false)[]} items
 */
export function rowMenu(name, items) {
  const opener = h(
    'button.button.quiet.icon-only.small',
    { type: 'button', 'aria-label': `Actions on ${name}`, 'aria-haspopup': 'true', 'aria-expanded': 'false' },
    icon('more'),
  );
  opener.addEventListener('click', () => open(opener, items));
  return opener;
}

/**
 * @param {HTMLButtonElement} opener
 * @param {(Item | false)[]} items
 */
function open(opener, items) {
  const list = items.map((item) => item && h('li', choice(item)));
  const menu = h('div.menu.row-menu', { popover: true }, h('ul', list));
  const close = () => menu.hidePopover();
  // Before what was chosen acts, so that a dialog gives the focus back to the button.
  menu.addEventListener('click', close, { capture: true });
  menu.addEventListener('toggle', ({ newState }) => {
    opener.ariaExpanded = String(newState === 'open');
    if (newState === 'open') return menu.querySelector('button')?.focus();
    removeEventListener('scroll', close);
    menu.remove();
  });
  addEventListener('scroll', close, { once: true });
  opener.after(menu);
  menu.showPopover({ source: opener });
  place(menu, opener.getBoundingClientRect());
}

/** @param {Item} item */
function choice({ text, danger, act }) {
  return button(text, act, { look: danger ? 'quiet block danger' : 'quiet block' });
}

/**
 * Below the button where there is room, else above it.
 * @param {HTMLElement} menu
 * @param {DOMRect} opener
 */
function place(menu, opener) {
  const { width, height } = menu.getBoundingClientRect();
  const below = opener.bottom + height < innerHeight;
  menu.style.setProperty('left', `${Math.max(8, opener.right - width)}px`);
  menu.style.setProperty('top', `${below ? opener.bottom : opener.top - height}px`);
}
