// Links of an HTML page that somebody else wrote, for all who read pages of an index: what an installer would see of them.

/**
 * The attributes of every `a` element, by their names in lower case, in the order of the page. Linear in the length of the
 * text, whatever it holds: each pattern starts where the last one ended. What is commented out is not on the page.
 */
export function* anchorsOf(text: string): Generator<ReadonlyMap<string, string>> {
  const start = /<!--|<a(?=[\s>])/gi;
  const attribute = /\s*([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>`]+)))?/y;
  for (let found = start.exec(text); found !== null; found = start.exec(text)) {
    if (found[0] === '<!--') {
      // "<!-->" is a whole comment.
      const end = text.indexOf('-->', start.lastIndex - 2);
      if (end === -1) return;
      start.lastIndex = end;
      continue;
    }
    const attributes = new Map<string, string>();
    attribute.lastIndex = start.lastIndex;
    for (let match = attribute.exec(text); match !== null; match = attribute.exec(text)) {
      start.lastIndex = attribute.lastIndex;
      const name = (match[1] ?? '').toLowerCase();
      // HTML: of attributes with one name, the first counts.
      if (!attributes.has(name)) attributes.set(name, unescapeHtml(match[2] ?? match[3] ?? match[4] ?? ''));
    }
    yield attributes;
  }
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The references that index pages use: numbers, and the five names of XML. */
function unescapeHtml(text: string): string {
  return text.replaceAll(
    /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-z]{2,4}));/g,
    (whole, ten, sixteen, name) => {
      if (typeof name === 'string') return NAMED[name] ?? whole;
      const code = typeof ten === 'string' ? Number(ten) : Number.parseInt(String(sixteen), 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
    },
  );
}

/** Percent-encoding undone; undefined where it is malformed. */
export function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** `sha256=DIGEST`, as in the fragment of a link (PEP 503) or in data-core-metadata; empty for anything else. */
export function hashOf(text: string): Record<string, string> {
  const [, algorithm, digest] = /^([a-z][a-z0-9_-]{0,31})=([0-9a-fA-F]{2,256})$/.exec(text) ?? [];
  return algorithm === undefined || digest === undefined ? {} : { [algorithm]: digest.toLowerCase() };
}
