// The record as one page of HTML, to be printed and signed by hand: no script, nothing loaded from anywhere.
import { escapeHtml, qrSvg } from './qr.ts';
import { RECORD_STYLE } from './record-style.ts';
import type {
  CeremonyRecord,
  RecordedFile,
  RecordedKey,
  RecordedRole,
  RecordedTranscript,
} from './record.ts';
import { computers } from './record-text.ts';

/** The text of record.html. */
export function recordPage(record: CeremonyRecord): string {
  const { ceremony, kind, date, nextCeremony, why } = record;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Record of the key ceremony ${escapeHtml(ceremony)}</title>
<style>${RECORD_STYLE}</style>
</head>
<body>
<header>
<p>Record of a key ceremony</p>
<h1>${escapeHtml(ceremony)}</h1>
<p>${escapeHtml(kind)} · ${say(date)} · next ceremony ${say(nextCeremony)}</p>
</header>
<p>${escapeHtml(why)}</p>
${section('What was signed', signed(record))}
${section('What is new', `<pre>${escapeHtml(record.changes.join('\n'))}</pre>`)}
${section('Roles', roles(record.roles, record.keys))}
${section('Keys', keys(record.keys))}
${section('Files as the repository publishes them', sums(record.published), 'For ever: a repository that shows another content under one of these names is not this one.')}
${section("Files in the ceremony's folder", sums(record.files))}
${section('Computers and their transcripts', record.transcripts.map(transcript).join('\n'))}
${section('Those present', Array.from({ length: record.places }, present).join('\n'), 'I was present, saw what this record says, and compared the words and the SHA-256 on the screen with those on this paper.')}
</body>
</html>
`;
}

function section(title: string, body: string, hint?: string): string {
  const line = hint === undefined ? '' : `<p class="hint">${escapeHtml(hint)}</p>\n`;
  return `<section>\n<h2>${escapeHtml(title)}</h2>\n${line}${body}\n</section>`;
}

function signed({ phrase, payload, bundle, builtOn, bins, transcripts }: CeremonyRecord): string {
  const words = phrase.map((word, i) => `<span data-n="${i + 1}">${escapeHtml(word)}</span>`).join('');
  const codes = [
    code('payload', payload),
    code('bundle', bundle),
    ...transcripts.map(({ id, head }) => code(`transcript ${id}`, head)),
  ];
  return `<p class="phrase">${words}</p>
<dl>
<dt>payload</dt><dd>${hash(payload)}</dd>
<dt>bundle</dt><dd>${hash(bundle)}</dd>
<dt>made on</dt><dd>${computers({ builtOn })}</dd>
<dt>bins</dt><dd>${bins.count.toLocaleString('en')}, ${escapeHtml(bins.format)}</dd>
</dl>
<div class="codes">
${codes.join('\n')}
</div>`;
}

function code(what: string, sha256: string): string {
  const content = `${what} sha256 ${sha256}`;
  return `<div class="code">${qrSvg(content, content)}${escapeHtml(what)}</div>`;
}

function roles(all: readonly RecordedRole[], keys: readonly RecordedKey[]): string {
  const rows = all.map(
    ({ role, version, expires, threshold, keyids }) =>
      `<tr><td class="short">${escapeHtml(role)}</td><td>${version ?? '–'}</td>` +
      `<td class="short">${threshold} of ${keyids.length}</td>` +
      `<td class="short">${expires === undefined ? 'by the service' : say(expires)}</td>` +
      `<td>${keyids.map((keyid) => holderOf(keyid, keys)).join('<br>')}</td></tr>`,
  );
  return table(['role', 'version', 'signatures', 'expires', 'keys'], rows);
}

function keys(all: readonly RecordedKey[]): string {
  const rows = all.map(
    ({ keyid, scheme, holder, made, serial }) =>
      `<tr><td class="name">${escapeHtml(holder)}<br><span class="hint">${escapeHtml(scheme)}` +
      `${made === undefined ? '' : made === 'file' ? ', in a file' : `, token ${escapeHtml(serial ?? '')}`}</span></td>` +
      `<td>${hash(keyid)}</td></tr>`,
  );
  return table(['holder', 'key id'], rows);
}

function sums(files: readonly RecordedFile[]): string {
  const rows = files.map(
    ({ name, sha256 }) =>
      `<tr><td class="name">${escapeHtml(shortName(name))}</td><td>${hash(sha256)}</td></tr>`,
  );
  return table(['file', 'SHA-256'], rows);
}

function transcript({
  id,
  computer,
  version,
  tool,
  lines,
  head,
  passed,
  failed,
  accepted,
}: RecordedTranscript): string {
  const exceptions = accepted.map(({ check, reason }) => `${escapeHtml(check)}: ${escapeHtml(reason)}`);
  return `<dl>
<dt>transcript</dt><dd>${escapeHtml(id)}, countersign-ceremony ${escapeHtml(version)}</dd>
<dt>computer</dt><dd>${escapeHtml(computer)}</dd>
<dt>program</dt><dd>${hash(tool)}</dd>
<dt>head</dt><dd>${hash(head)}<br>${lines} lines</dd>
<dt>self-check passed</dt><dd>${escapeHtml(passed.join(', ') || 'none')}</dd>
<dt>self-check failed</dt><dd>${escapeHtml(failed.join(', ') || 'none')}</dd>
<dt>accepted</dt><dd>${exceptions.join('<br>') || 'none'}</dd>
</dl>`;
}

function present(): string {
  return `<div class="present"><div>name</div><div>role</div><div>date and place</div><div>signature</div></div>`;
}

function holderOf(keyid: string, keys: readonly RecordedKey[]): string {
  const holder = keys.find((key) => key.keyid === keyid)?.holder;
  const short = `<code>${escapeHtml(keyid.slice(0, 8))}…</code>`;
  return holder === undefined ? short : `${escapeHtml(holder)} ${short}`;
}

function table(heads: readonly string[], rows: readonly string[]): string {
  const head = heads.map((text) => `<th>${escapeHtml(text)}</th>`).join('');
  return `<table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${rows.join('\n')}\n</tbody>\n</table>`;
}

/** Key ids stand in full beside their holders. */
function shortName(name: string): string {
  return name.replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, '$1…');
}

/** In groups of eight digits, to be compared by eye or read aloud. */
function hash(hex: string): string {
  return `<code>${(hex.match(/.{1,8}/g) ?? []).map((group) => `<span>${escapeHtml(group)}</span>`).join('')}</code>`;
}

/** `2027-01-15 10:00 UTC` */
function say(time: string): string {
  return escapeHtml(`${time.slice(0, 10)} ${time.slice(11, 16)} UTC`);
}
