/** The look of the element. As a constructed sheet it needs nothing of the page's `style-src`. */

/** @returns {CSSStyleSheet} */
export function sheet() {
  const made = new CSSStyleSheet();
  made.replaceSync(CSS);
  return made;
}

const CSS = `
:host {
  display: inline-grid;
  gap: 0.75rem;
  justify-items: center;
  box-sizing: border-box;
  inline-size: var(--nodkey-code-size, 16rem);
  max-inline-size: 100%;
  color: inherit;
  text-align: center;
}

:host([hidden]),
[hidden] {
  display: none !important;
}

p {
  margin: 0;
}

[part='box'] {
  position: relative;
  display: grid;
  place-items: center;
  box-sizing: border-box;
  inline-size: 100%;
  aspect-ratio: 1;
  border: 1px solid var(--nodkey-code-border, color-mix(in srgb, currentColor 25%, transparent));
  border-radius: var(--nodkey-code-radius, 12px);
  overflow: hidden;
}

[part='code'] {
  all: unset;
  display: block;
  inline-size: 100%;
  block-size: 100%;
  background: #fff;
}

button[part='code'] {
  cursor: pointer;
}

svg {
  display: block;
  inline-size: 100%;
  forced-color-adjust: none;
}

[part='remaining'] {
  position: absolute;
  inset: auto 0 0;
  block-size: 3px;
  background: var(--nodkey-code-accent, #00606f);
  transform-origin: 0 0;
  animation: run-out var(--lifetime) var(--delay) linear forwards;
}

@keyframes run-out {
  to {
    transform: scaleX(0);
  }
}

.loading {
  animation: breathe 1.6s ease-in-out infinite alternate;
}

@keyframes breathe {
  to {
    background: color-mix(in srgb, currentColor 8%, transparent);
  }
}

.sign {
  inline-size: 3rem;
  fill: none;
  stroke: currentColor;
  stroke-width: 1.5;
  stroke-linecap: round;
  stroke-linejoin: round;
  forced-color-adjust: auto;
}

[part='failure'] {
  display: grid;
  gap: 1rem;
  justify-items: center;
  padding: 1rem;
}

[part='digits'] strong {
  font-size: 1.5em;
  font-variant-numeric: tabular-nums;
  letter-spacing: 0.1em;
}

[part='retry'],
[part='link'] {
  display: inline-grid;
  place-items: center;
  box-sizing: border-box;
  min-block-size: 44px;
  padding: 0.5rem 1rem;
  border: 1px solid;
  border-radius: calc(var(--nodkey-code-radius, 12px) * 0.66);
  background: none;
  color: inherit;
  font: inherit;
  font-weight: 600;
  cursor: pointer;
}

[part='link'] {
  display: none;
  inline-size: 100%;
  border-color: transparent;
  background: var(--nodkey-code-accent, #00606f);
  color: var(--nodkey-code-on-accent, #fff);
  text-decoration: none;
}

:focus-visible,
button[part='code']:focus-visible {
  outline: 3px solid var(--nodkey-code-accent, Highlight);
  outline-offset: 2px;
}

/* The outline of what fills the box is inside of it. */
button[part='code']:focus-visible {
  outline-offset: -4px;
}

.unseen {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

/* A screen that may be the phone itself. */
@media (width <= 600px), (hover: none) and (pointer: coarse) {
  [part='link'] {
    display: inline-grid;
  }
}

@media (prefers-reduced-motion: reduce) {
  [part='remaining'] {
    display: none;
  }

  .loading {
    animation: none;
  }
}

@media (forced-colors: active) {
  [part='remaining'] {
    background: Highlight;
    forced-color-adjust: none;
  }

  [part='link'] {
    border-color: LinkText;
  }
}
`;
