// Text for a terminal, or for a header: what strangers wrote into names, reasons and messages is shown, and moves no cursor.

/**
 * Everything that a terminal may obey instead of showing it: control characters (ESC, and CSI as one character, among
 * them), and those that turn the direction of what follows. A line end and a tab do no harm.
 */
const OBEYED = /(?![\n\t])[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/**
 * One line of printable ASCII, at most `maxLength` characters, for headers and for messages inside other messages: each
 * run of anything else is one space.
 */
export function printableLine(text: string, maxLength: number): string {
  const line = text.replaceAll(/[^\x20-\x7e]+/g, ' ').trim();
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 3)}...`;
}

/** `text` with each such character as its escape: `\u001b`. */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
