// The record as plain text: for a line printer, for reading aloud, and for `record verify` years later. The section with
// published files has the form that `sha256sum -c` reads.
import type {
  CeremonyRecord,
  RecordedFile,
  RecordedKey,
  RecordedRole,
  RecordedTranscript,
} from './record.ts';

const WIDTH = 80;

/** Stands above the files that `record verify` compares. */
export const PUBLISHED_HEADING = 'FILES AS THE REPOSITORY PUBLISHES THEM';
/** Stands above the files of the folder, in the same form. */
export const FOLDER_HEADING = "FILES IN THE CEREMONY'S FOLDER";

/** The text of record.txt. */
export function recordText(record: CeremonyRecord): string {
  const sections = [
    [
      `RECORD OF THE KEY CEREMONY ${record.ceremony.toUpperCase()}`,
      '',
      `kind            ${record.kind}`,
      `date            ${record.date}`,
      `next ceremony   ${record.nextCeremony}`,
      '',
      ...wrap(record.why),
    ],
    [
      'WHAT WAS SIGNED',
      '',
      'read aloud      ' + record.phrase.slice(0, 4).join('  '),
      '                ' + record.phrase.slice(4).join('  '),
      `payload sha256  ${record.payload}`,
      `bundle  sha256  ${record.bundle}`,
      `made on         ${computers(record)}`,
      `bins            ${record.bins.count}, ${record.bins.format}`,
    ],
    ['WHAT IS NEW', '', ...record.changes],
    ['ROLES', ...record.roles.flatMap(roleLines)],
    ['KEYS', ...record.keys.flatMap(keyLines)],
    [PUBLISHED_HEADING, '', ...record.published.map(sumLine)],
    [FOLDER_HEADING, '', ...record.files.map(sumLine)],
    ['COMPUTERS AND THEIR TRANSCRIPTS', ...record.transcripts.flatMap(transcriptLines)],
    ['THOSE PRESENT', '', ...Array.from({ length: record.places }, signatureLines).flat()],
  ];
  const rule = '-'.repeat(WIDTH);
  return `${sections.map((lines) => lines.join('\n').trimEnd()).join(`\n\n${rule}\n\n`)}\n`;
}

/** `2 computers`: of the payload, on which the words were compared. */
export function computers({ builtOn }: Pick<CeremonyRecord, 'builtOn'>): string {
  return `${builtOn} ${builtOn === 1 ? 'computer' : 'computers'}`;
}

function roleLines({ role, version, expires, threshold, keyids }: RecordedRole): string[] {
  const name = version === undefined ? role : `${role} version ${version}`;
  const until = expires === undefined ? 'signed by the service' : `expires ${expires}`;
  return ['', `${name}, ${until}; ${threshold} of ${keyids.length}:`, ...keyids.map((keyid) => `  ${keyid}`)];
}

function keyLines({ keyid, scheme, holder, made, serial }: RecordedKey): string[] {
  const where =
    made === undefined ? '' : made === 'token' ? `, on token ${serial ?? 'without serial'}` : ', in a file';
  return ['', `${holder}: ${scheme}${where}`, `  ${keyid}`];
}

function sumLine({ name, sha256 }: RecordedFile): string {
  return `${sha256}  ${name}`;
}

function transcriptLines(transcript: RecordedTranscript): string[] {
  const { id, version, tool, lines, head, passed, failed, accepted } = transcript;
  return [
    '',
    `transcript ${id}, countersign-ceremony ${version}`,
    `  computer    ${transcript.computer}`,
    `  program     ${tool}`,
    `  head        ${head}`,
    `  lines       ${lines}`,
    `  self-check  passed: ${passed.join(', ') || 'none'}; failed: ${failed.join(', ') || 'none'}`,
    ...accepted.flatMap(({ check, reason }) =>
      wrap(`accepted ${check}: ${reason}`).map((line) => `  ${line}`),
    ),
  ];
}

function signatureLines(): string[] {
  return [
    'name ______________________________  role ________________________________',
    '',
    'date and place ____________________  signature ___________________________',
    '',
    '',
  ];
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}
