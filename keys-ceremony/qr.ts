// QR codes as SVG, for paper: a digest that was printed can be read back without typing it.
import { encode } from 'uqr';

/** Modules of white around a code: ISO/IEC 18004 asks for four. */
const QUIET_ZONE = 4;

/** An SVG element; its size is left to the page. `label` says in words what the code holds. */
export function qrSvg(content: string, label: string): string {
  // Level M: 15 % may be stained or folded.
  const { data } = encode(content, { ecc: 'M', border: QUIET_ZONE });
  const runs = data.map((row, y) => rowPath(row, y)).join('');
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${data.length} ${data.length}" role="img" ` +
    `shape-rendering="crispEdges"><title>${escapeHtml(label)}</title><path fill="#000" d="${runs}"/></svg>`
  );
}

/** One rectangle for each run of black modules. */
function rowPath(row: readonly boolean[], y: number): string {
  let path = '';
  for (let x = 0; x < row.length; x++) {
    if (row[x] !== true) continue;
    const start = x;
    while (row[x] === true) x++;
    path += `M${start} ${y}h${x - start}v1h-${x - start}z`;
  }
  return path;
}

/** Text for an element or a quoted attribute of HTML. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
