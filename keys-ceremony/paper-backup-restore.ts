// Typing shares of a paper backup: one line after the other, unseen, each checked before the next.
import {
  checkFits,
  joinShares,
  linesOfWholeShare,
  readShare,
  readShareLine,
  SHARE_LINES,
  type Share,
} from './paper-backup.ts';
import type { FileKey } from './key-file.ts';
import { askUntil } from './terminal-questions.ts';
import type { Terminal } from './terminal.ts';

/**
 * Asks for as many shares as the first one says are needed.
 * @throws CountersignError `share-invalid` after three tries at one line or one share; `interrupted`.
 */
export async function askForShares(terminal: Terminal): Promise<FileKey> {
  terminal.say('Type each share line by line, or let a scanner type its QR code at the first line.');
  const shares: Share[] = [];
  do {
    const share = await askUntil(
      terminal,
      () => askForLines(terminal, shares.length + 1),
      (text) => {
        const read = readShare(text.split('\n').map((line, index) => readShareLine(line, index)));
        checkFits(read, shares);
        return read;
      },
    );
    shares.push(share);
    terminal.say(
      `  share of key ${share.keyid}…, ${shares.length} of the ${share.threshold} that are needed`,
    );
  } while (shares.length < (shares[0]?.threshold ?? 0));
  return joinShares(shares);
}

/** The lines of one share, joined by line ends; each of them fits its check word. */
async function askForLines(terminal: Terminal, number: number): Promise<string> {
  const lines: string[] = [];
  while (lines.length < SHARE_LINES) {
    const line = lines.length;
    const more = await askUntil(
      terminal,
      () => terminal.secret(`Share ${number}, line ${line + 1} of ${SHARE_LINES}`),
      (text) => {
        const whole = line === 0 ? linesOfWholeShare(text) : undefined;
        const typed = whole ?? [text];
        typed.forEach((one, index) => readShareLine(one, line + index));
        return typed;
      },
    );
    lines.push(...more);
  }
  return lines.join('\n');
}
