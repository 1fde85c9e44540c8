// What the demo says while it runs: numbered steps, the command lines that it types, and what came of each.
import type { Writable } from 'node:stream';

/** Columns of a label in a list of outcomes. */
const LABEL_WIDTH = 18;

/** Columns of a command line, but for a word that is longer by itself. */
const COMMAND_WIDTH = 100;

export class Narrator {
  readonly #out: Writable | undefined;
  #step = 0;

  /** @param out Where people read; undefined for a machine, which gets one document at the end. */
  constructor(out: Writable | undefined) {
    this.#out = out;
  }

  /** The step in hand, for messages about a failure. */
  get current(): string {
    return this.#step === 0 ? 'before the first step' : `step ${this.#step}`;
  }

  opening(lines: readonly string[]): void {
    for (const line of lines) this.#write(line);
  }

  step(title: string): void {
    this.#step += 1;
    this.#write('');
    this.#write(`${String(this.#step).padStart(2)}  ${title}`);
  }

  /** A command line as a user would type it; a long one goes on in the next line, after a backslash. */
  command(words: readonly string[]): void {
    let line = '    $';
    for (const [index, word] of words.entries()) {
      // An option stays with its value.
      const unit = word.startsWith('--') ? `${word} ${words[index + 1] ?? ''}` : word;
      if (line.length + 1 + unit.length > COMMAND_WIDTH && !(words[index - 1] ?? '--').startsWith('--')) {
        this.#write(`${line} \\`);
        line = '       ';
      }
      line += ` ${word}`;
    }
    this.#write(line);
  }

  outcome(text: string): void {
    this.#write(`    ${text}`);
  }

  /** An outcome with a name, aligned with those before and after it. */
  labelled(label: string, text: string): void {
    this.outcome(`${label.padEnd(LABEL_WIDTH)}${text}`);
  }

  #write(line: string): void {
    this.#out?.write(`${line}\n`);
  }
}
