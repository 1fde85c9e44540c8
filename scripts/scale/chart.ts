// Charts as SVG: lines and bars with axes, a few kilobytes, legible on light and on dark pages without a script.

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** A line through the points, or the area below them. */
  readonly form: 'line' | 'area';
}

export interface Axis {
  readonly label: string;
  readonly ticks: readonly number[];
  readonly format: (value: number) => string;
  /** Distances are those of the logarithms. */
  readonly isLogarithmic?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 320;
const MARGIN = { top: 44, right: 20, bottom: 46, left: 74 };

/** Colours that keep their contrast on white and on black. */
const COLOURS = ['#2f81f7', '#d1570b', '#1a9a5a', '#a95bd6'];

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-weight: 600; font-size: 13px }
  .grid { stroke: #8c959f; stroke-opacity: 0.3 }
  @media (prefers-color-scheme: dark) { text { fill: #adbac7 } }
`;

export function svgChart({ title, x, y, series }: Chart): string {
  const placeX = scale(x, MARGIN.left, WIDTH - MARGIN.right);
  const placeY = scale(y, HEIGHT - MARGIN.bottom, MARGIN.top);
  const bottom = HEIGHT - MARGIN.bottom;
  const parts = [
    `<text class="title" x="${MARGIN.left}" y="16">${escaped(title)}</text>`,
    ...y.ticks.map((tick) => {
      const at = round(placeY(tick));
      return (
        `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}"/>` +
        `<text x="${MARGIN.left - 8}" y="${at + 4}" text-anchor="end">${escaped(y.format(tick))}</text>`
      );
    }),
    ...x.ticks.map((tick) => {
      const at = round(placeX(tick));
      return `<text x="${at}" y="${bottom + 18}" text-anchor="middle">${escaped(x.format(tick))}</text>`;
    }),
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text transform="translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y.label)}</text>`,
  ];
  series.forEach(({ name, points, form }, i) => {
    const colour = COLOURS[i % COLOURS.length] ?? '';
    const places = points.map(([px, py]) => `${round(placeX(px))},${round(placeY(py))}`);
    if (form === 'area') {
      const [first, last] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 0].map((px) => round(placeX(px)));
      parts.push(
        `<polygon points="${first},${bottom} ${places.join(' ')} ${last},${bottom}" fill="${colour}" fill-opacity="0.75"/>`,
      );
    } else {
      parts.push(`<polyline points="${places.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`);
      if (points.length <= 20) {
        parts.push(...places.map((place) => circle(place, colour)));
      }
    }
    const legend = MARGIN.left + i * 230;
    parts.push(`<rect x="${legend}" y="25" width="10" height="10" fill="${colour}"/>`);
    parts.push(`<text x="${legend + 15}" y="34">${escaped(name)}</text>`);
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">` +
    `<style>${STYLE}</style>\n${parts.join('\n')}\n</svg>\n`
  );
}

function scale({ ticks, isLogarithmic = false }: Axis, from: number, to: number): (value: number) => number {
  const of = (value: number): number => (isLogarithmic ? Math.log10(value) : value);
  const [least, most] = [of(ticks[0] ?? 0), of(ticks.at(-1) ?? 1)];
  return (value) => from + ((of(value) - least) / (most - least)) * (to - from);
}

function circle(place: string, colour: string): string {
  const [cx, cy] = place.split(',');
  return `<circle cx="${cx}" cy="${cy}" r="4" fill="${colour}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
