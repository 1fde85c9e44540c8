// Text for a terminal: what strangers wrote into names, reasons and messages is shown, and moves no cursor.

/**
 * Everything that a terminal may obey instead of showing it: control characters (ESC, and CSI as one character, among
 * them), and those that turn the direction of what follows. A line end and a tab do no harm.
 */
const OBEYED = /(?![\n\t])[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** `text` with each such character as its escape: `\u001b`. */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
