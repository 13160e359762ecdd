/** Small charts of how something went lately. */
import { h, replace, svg } from '../../lib/dom.js';
import { duration } from '../../lib/format.js';

/** @typedef {{ name: string, tone: 'accent' | 'ok' | 'warn' | 'bad' | 'muted' }} Series */
/** @typedef {{ at: number, values: (number | null)[] }} Point One value for each series; null is a gap. */

/** The least time that is shown, in milliseconds, so that the first points do not fill the width. */
const LEAST = 120_000;
/** Units of the drawing; it is stretched to the place it has. */
const SIZE = 100;

/**
 * Makes a chart; `update` draws points, and whoever points at it reads those of that time.
 * @param {{ title: string, hint: string, series: Series[], format: (value: number) => string }} options `hint` says what is measured
 */
export function chart({ title, hint, series, format }) {
  const readings = series.map(() => h('strong.num', '–'));
  const legend = h(
    'ul.legend',
    series.map(({ name, tone }, i) => h('li', readings[i], h('span', h('span.dot', { class: `tone-${tone}` }), name))),
  );
  const lines = series.map(({ tone }) => svg('path', { class: `line tone-${tone}` }));
  const area = svg('path', { class: `area tone-${series[0].tone}` });
  const cursor = svg('line', { class: 'cursor', y1: 0, y2: SIZE, visibility: 'hidden' });
  const drawing = svg(
    'svg',
    { viewBox: `0 0 ${SIZE} ${SIZE}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': title },
    area,
    ...lines,
    cursor,
  );
  const top = h('span.top');
  const since = h('span');
  const until = h('span', 'now');
  const element = h(
    'section.card.chart',
    h('header', h('h2', title), h('p.small.muted', hint)),
    legend,
    h('div.plot', top, drawing),
    h('div.axis', since, until),
  );
  /** @type {Point[]} */
  let points = [];

  /** @param {Point | undefined} point */
  function read(point) {
    readings.forEach((reading, i) => replace(reading, written(point?.values[i])));
  }

  /** @param {number | null | undefined} value */
  function written(value) {
    return value === null || value === undefined ? '–' : format(value);
  }

  /** @param {Point[]} latest oldest first */
  function update(latest) {
    points = latest;
    const { from, to } = span(points);
    const max = niceMaximum(points);
    const x = (/** @type {number} */ at) => ((at - from) / (to - from)) * SIZE;
    const y = (/** @type {number} */ value) => SIZE - (value / max) * SIZE;
    lines.forEach((line, i) => line.setAttribute('d', path(points, i, x, y)));
    area.setAttribute('d', series.length === 1 ? closed(points, x, y) : '');
    top.textContent = format(max);
    since.textContent = `${duration(to - from)} ago`;
    read(points.at(-1));
    drawing.setAttribute(
      'aria-label',
      `${title}. ${series.map(({ name }, i) => `${name}: ${written(points.at(-1)?.values[i])}`).join(', ')}`,
    );
  }

  drawing.addEventListener('pointermove', (event) => {
    const { left, width } = drawing.getBoundingClientRect();
    const { from, to } = span(points);
    const at = from + ((event.clientX - left) / width) * (to - from);
    const nearest = closest(points, at);
    if (!nearest) return;
    const x = ((nearest.at - from) / (to - from)) * SIZE;
    cursor.setAttribute('x1', String(x));
    cursor.setAttribute('x2', String(x));
    cursor.setAttribute('visibility', 'visible');
    until.textContent = `${duration(to - nearest.at)} ago`;
    read(nearest);
  });
  drawing.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    until.textContent = 'now';
    read(points.at(-1));
  });

  return { element, update };
}

/** @param {Point[]} points */
function span(points) {
  const to = points.at(-1)?.at ?? LEAST;
  return { from: Math.min(points[0]?.at ?? 0, to - LEAST), to };
}

/**
 * @param {Point[]} points
 * @param {number} at
 */
function closest(points, at) {
  return points.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best), points[0]);
}

/**
 * The next round number above every value.
 * @param {Point[]} points
 */
function niceMaximum(points) {
  const highest = Math.max(0, ...points.flatMap(({ values }) => values.map((value) => value ?? 0)));
  if (highest === 0) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(highest));
  return (
    [1, 1.5, 2, 3, 5, 7.5, 10].map((step) => step * magnitude).find((step) => step >= highest * 1.02) ?? 20 * magnitude
  );
}

/**
 * @param {Point[]} points
 * @param {number} i
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function path(points, i, x, y) {
  let pen = 'M';
  return points
    .map(({ at, values }) => {
      const value = values[i];
      const step = value === null ? '' : `${pen}${x(at).toFixed(2)} ${y(value).toFixed(2)}`;
      pen = value === null ? 'M' : 'L';
      return step;
    })
    .join('');
}

/**
 * @param {Point[]} points
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function closed(points, x, y) {
  const known = points.filter(({ values }) => values[0] !== null);
  if (known.length < 2) return '';
  const [first, last] = [known[0], known[known.length - 1]];
  return `${path(known, 0, x, y)}L${x(last.at).toFixed(2)} ${SIZE}L${x(first.at).toFixed(2)} ${SIZE}Z`;
}
