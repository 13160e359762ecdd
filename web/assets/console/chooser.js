/** The chooser of the relying party, in the header. */
import { h, replace } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { allRelyingParties, relyingParties, relyingPartyName } from './relying_parties.js';
import { address, currentView } from './router.js';
import { foreign } from './ui/elements.js';
import { VIEWS } from './views.js';

/** So many can be looked through without searching. */
const FEW = 8;

/**
 * Makes the chooser.
 * @returns {{ element: HTMLElement, choose: (id: string) => void }}
 */
export function chooser() {
  const name = h('span.truncate');
  const button = h(
    'button.button.chooser',
    { type: 'button', popovertarget: 'relying-parties' },
    icon('building'),
    name,
    icon('chevronDown'),
  );
  const search = h('input', {
    type: 'search',
    placeholder: 'Find a relying party',
    'aria-label': 'Find a relying party',
    oninput: list,
  });
  const finder = h('div.search', icon('search'), search);
  const links = h('ul');
  const all = h('a', { href: address('relying-parties') }, icon('settings'), 'All relying parties');
  const panel = h('div.menu.chooser-panel', { id: 'relying-parties', popover: true }, finder, links, h('hr'), all);
  let chosen = '';

  panel.addEventListener('beforetoggle', (event) => {
    if (event.newState !== 'open') return;
    search.value = '';
    list();
  });
  panel.addEventListener('toggle', (event) => {
    if (event.newState === 'open') (finder.hidden ? panel.querySelector('a') : search)?.focus();
  });
  panel.addEventListener('click', (event) => {
    if (event.target instanceof Element && event.target.closest('a')) panel.hidePopover();
  });
  relyingParties.addEventListener('change', () => choose(chosen));

  function list() {
    const wanted = search.value.trim().toLowerCase();
    const found = allRelyingParties().filter((each) => each.name.toLowerCase().includes(wanted) || each.id === wanted);
    finder.hidden = allRelyingParties().length <= FEW;
    replace(
      links,
      found.map(link),
      !found.length && h('li.empty', wanted ? 'No relying party matches.' : 'No relying parties yet.'),
    );
  }

  /** @param {import('./relying_parties.js').RelyingParty} relyingParty */
  function link({ id, name: text, disabled }) {
    const properties = { href: address(scopedView(), { rp: id }), 'aria-current': id === chosen && 'true' };
    return h(
      'li',
      h(
        'a',
        properties,
        h('span.grow', foreign(text)),
        disabled && h('span.badge', 'Disabled'),
        id === chosen && icon('check'),
      ),
    );
  }

  /** @param {string} id */
  function choose(id) {
    chosen = id;
    replace(name, id ? foreign(relyingPartyName(id)) : 'No relying party');
  }

  return { element: h('div.chooser-place', button, panel), choose };
}

/** The list to go to: the present one, when it belongs to a relying party. */
function scopedView() {
  const view = VIEWS[currentView()];
  return view?.scoped ? (view.within ?? currentView()) : 'trusonafications';
}
