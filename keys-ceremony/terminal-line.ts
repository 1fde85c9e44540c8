// One line as a person types it: characters, corrections, and the keys that end it. Pure: bytes in, echo out.
import { StringDecoder } from 'node:string_decoder';

/** Characters of a line; the longest answer is a sentence or a share of a paper backup. */
export const MAX_LINE = 1000;

const BELL = '\x07';
/** Works on a printing terminal as well: one step back, a blank over it, one step back. */
const RUB_OUT = '\b \b';

/** How a line ended. */
export type LineEnd =
  | { readonly how: 'answered'; readonly line: string }
  /** Ctrl-C, Ctrl-\, or Ctrl-D on an empty line. */
  | { readonly how: 'interrupted' };

type Escape = 'none' | 'begun' | 'control' | 'single';

export class LineEditor {
  readonly #visible: boolean;
  readonly #decoder = new StringDecoder('utf8');
  #line: string[] = [];
  /** Inside an escape sequence, such as that of an arrow key. */
  #escape: Escape = 'none';

  /** @param visible False for a secret: nothing that is typed comes back, not even its length. */
  constructor(visible: boolean) {
    this.#visible = visible;
  }

  /** What to show for `bytes`, and the end of the line when they hold it; whatever follows the end is dropped. */
  feed(bytes: Uint8Array): { readonly echo: string; readonly end?: LineEnd } {
    let echo = '';
    for (const character of this.#decoder.write(Buffer.from(bytes))) {
      const end = this.#endOf(character);
      if (end !== undefined) return { echo, end };
      echo += this.#take(character);
    }
    return { echo };
  }

  #endOf(character: string): LineEnd | undefined {
    // Ctrl-C and Ctrl-\ end the question in the middle of an escape sequence too.
    if (character === '\x03' || character === '\x1c') return { how: 'interrupted' };
    if (character === '\r' || character === '\n') return { how: 'answered', line: this.#line.join('') };
    if (character === '\x04' && this.#line.length === 0) return { how: 'interrupted' };
    return undefined;
  }

  #take(character: string): string {
    if (this.#escape !== 'none') {
      this.#escape = nextEscape(this.#escape, character);
      return '';
    }
    switch (character) {
      case '\x1b':
        this.#escape = 'begun';
        return '';
      case '\x7f':
      case '\b':
        return this.#erase(1);
      // Ctrl-U: the whole line.
      case '\x15':
        return this.#erase(this.#line.length);
    }
    // Control characters, and bytes that are not UTF-8: an answer never holds what nobody saw themselves type.
    if (/[\p{Cc}\p{Zl}\p{Zp}\ufffd]/u.test(character) || this.#line.length === MAX_LINE) return BELL;
    this.#line.push(character);
    return this.#visible ? character : '';
  }

  #erase(count: number): string {
    const erased = this.#line.splice(this.#line.length - count);
    return this.#visible ? RUB_OUT.repeat(erased.length) : '';
  }
}

/** ECMA-48: ESC [ … up to a byte of @ to ~; ESC O and one more; ESC and one other. */
function nextEscape(state: Exclude<Escape, 'none'>, character: string): Escape {
  if (state === 'begun' && character === '[') return 'control';
  if (state === 'begun' && character === 'O') return 'single';
  if (state === 'control' && !/[@-~]/.test(character)) return 'control';
  return 'none';
}
