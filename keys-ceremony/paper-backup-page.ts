// The paper of one share: a page of its own, with all that a stranger needs who finds it in a safe in ten years.
import { escapeHtml, qrSvg } from './qr.ts';

export interface SharePage {
  /** The holder whose key it is. */
  readonly name: string;
  readonly keyid: string;
  /** From 1. */
  readonly number: number;
  readonly shares: number;
  readonly threshold: number;
  /** ISO 8601. */
  readonly date: string;
  /** The share in words. */
  readonly lines: readonly string[];
}

function title({ number, shares, name }: SharePage): string {
  return `Share ${number} of ${shares} of the private key of ${name}`;
}

function facts({ keyid, threshold, shares, date }: SharePage): string[] {
  return [
    `Key id: ${keyid}`,
    `Made: ${date}`,
    `Any ${threshold} of the ${shares} shares give the key back; fewer say nothing about it.`,
    'Keep this page secret, dry, and away from the others.',
    'To restore: countersign-ceremony key restore --name NAME --out FOLDER, on a computer without a network.',
    'Each line ends with a word that checks it.',
  ];
}

/** For a printer that knows text only; ends with a form feed. */
export function sharePageText(page: SharePage): string {
  const words = page.lines.map((line, index) => `${String(index + 1).padStart(2)}  ${line}`);
  return `${[title(page), '', ...facts(page), '', ...words, ''].join('\n')}\f`;
}

/** A page that prints as one sheet; the QR code holds the same words. */
export function sharePageHtml(page: SharePage): string {
  const items = facts(page).map((fact) => `<p>${escapeHtml(fact)}</p>`);
  const words = page.lines.map((line) => `<li>${escapeHtml(line)}</li>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escapeHtml(title(page))}</title>
<style>
  body { font: 11pt/1.5 serif; margin: 2cm; }
  ol { font: 13pt/1.8 monospace; }
  svg { width: 8cm; height: 8cm; }
  @page { size: A4; margin: 0; }
</style>
<h1>${escapeHtml(title(page))}</h1>
${items.join('\n')}
<ol>
${words.join('\n')}
</ol>
${qrSvg(page.lines.join(' '), 'the words of this share')}
</html>
`;
}
