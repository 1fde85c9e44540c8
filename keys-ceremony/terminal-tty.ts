// The terminal in front of a person. Its rules:
//  - Questions go to the controlling terminal and answers come from it, whatever standard input and output are: a key
//    holder answers, never a pipe. Without a controlling terminal nobody answers, and nothing is asked.
//  - One question at a time, on one line, with no colour and no movement of the cursor but one step back over a
//    character that was just typed: a serial console and TERM=dumb are enough.
//  - What was typed before a question stood there is not an answer to it: it is dropped. From the first question to the
//    end of the program the terminal shows nothing by itself, so that a passphrase typed too early stays unseen.
//  - A secret is never shown, not even its length. A secret that a person has to write down is shown here only, never
//    on standard error, and scrolled away when they are done.
//  - Ctrl-C, Ctrl-D on an empty line, the end of the terminal, SIGTERM and SIGHUP end the question, and with it the
//    command, with `interrupted`. Between two questions they count at the next one: a file that is being written is
//    finished. A second one ends the program on the spot.
//  - The terminal is left as it was found.
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { CountersignError } from '../src/lib/errors.ts';
import { printable } from '../src/lib/printable.ts';
import { LineEditor } from './terminal-line.ts';
import { Questions } from './terminal-questions.ts';
import type { Choice, Terminal } from './terminal.ts';

const CONTROLLING_TERMINAL = '/dev/tty';

/** Lines that push a secret off the screen; no console shows more. */
const SCREEN_LINES = 100;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
type Signal = (typeof SIGNALS)[number];

/** What a terminal needs of the process. */
export interface TerminalProcess {
  readonly stderr: { write(text: string): unknown };
  readonly pid: number;
  on(signal: Signal, listener: (signal: Signal) => void): unknown;
  off(signal: Signal, listener: (signal: Signal) => void): unknown;
  kill(pid: number, signal: Signal): unknown;
}

/** The controlling terminal of `host`, or undefined when it has none. Nothing is read before the first question. */
export function openTerminal(host: TerminalProcess): TtyTerminal | undefined {
  let fd: number;
  try {
    fd = openSync(CONTROLLING_TERMINAL, constants.O_RDWR | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  return new TtyTerminal(fd, host);
}

/** A question that waits for its answer. */
interface Waiting {
  readonly question: string;
  readonly editor: LineEditor;
  readonly resolve: (line: string) => void;
  readonly reject: (error: CountersignError) => void;
}

export class TtyTerminal implements Terminal {
  readonly isInteractive = true;
  readonly #fd: number;
  readonly #host: TerminalProcess;
  readonly #questions = new Questions(this);
  #input: ReadStream | undefined;
  #waiting: Waiting | undefined;
  /** Why no further question is asked. */
  #interrupted: string | undefined;

  constructor(fd: number, host: TerminalProcess) {
    this.#fd = fd;
    this.#host = host;
  }

  say(line: string): void {
    this.#host.stderr.write(`${printable(line)}\n`);
  }

  async ask(question: string): Promise<string> {
    return (await this.#question(question, true)).trim();
  }

  secret(question: string): Promise<string> {
    return this.#question(`${question} (not shown)`, false);
  }

  confirm(question: string, options: { readonly default: boolean }): Promise<boolean> {
    return this.#questions.confirm(question, options.default);
  }

  choose<T extends string>(question: string, options: readonly Choice<T>[]): Promise<T> {
    return this.#questions.choose(question, options);
  }

  async reveal(secret: string, question: string): Promise<void> {
    this.#write(`\n${secret}\n\n`);
    try {
      await this.#question(question, true);
    } finally {
      this.#write('\n'.repeat(SCREEN_LINES));
    }
  }

  /** Leaves the terminal as it was found. */
  close(): void {
    for (const signal of SIGNALS) this.#host.off(signal, this.#onSignal);
    const input = this.#input;
    if (input === undefined) {
      closeSync(this.#fd);
      return;
    }
    if (!input.destroyed) input.setRawMode(false);
    // Closes the file descriptor as well.
    input.destroy();
  }

  async #question(question: string, visible: boolean): Promise<string> {
    const input = (this.#input ??= this.#open());
    await dropTypedAhead();
    if (this.#interrupted !== undefined) throw interrupted(question, this.#interrupted);
    this.#write(`${printable(question)}: `);
    input.ref();
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { question, editor: new LineEditor(visible), resolve, reject };
      });
    } finally {
      this.#waiting = undefined;
      // Whoever is not asked does not keep the program alive.
      input.unref();
      this.#write('\n');
    }
  }

  #open(): ReadStream {
    const input = new ReadStream(this.#fd);
    // Raw: the terminal neither echoes nor makes signals of keys.
    input.setRawMode(true);
    input.on('data', (bytes: Buffer) => {
      this.#take(bytes);
    });
    for (const event of ['end', 'error', 'close'] as const) {
      input.on(event, () => {
        this.#interrupt('the terminal closed');
      });
    }
    for (const signal of SIGNALS) this.#host.on(signal, this.#onSignal);
    return input;
  }

  #take(bytes: Buffer): void {
    if (this.#waiting === undefined) {
      if (bytes.includes(0x03) || bytes.includes(0x1c)) this.#onKey();
      return;
    }
    const { editor, resolve } = this.#waiting;
    const { echo, end } = editor.feed(bytes);
    bytes.fill(0);
    if (echo !== '') this.#write(echo);
    if (end?.how === 'answered') resolve(end.line);
    else if (end !== undefined) this.#interrupt('a key that ends the program was pressed');
  }

  readonly #onSignal = (signal: Signal): void => {
    if (this.#interrupted === undefined) this.#interrupt(`${signal} came`);
    else this.#endNow(signal);
  };

  #onKey(): void {
    if (this.#interrupted === undefined) this.#interrupt('Ctrl-C was pressed');
    else this.#endNow('SIGINT');
  }

  #interrupt(why: string): void {
    this.#interrupted ??= why;
    this.#waiting?.reject(interrupted(this.#waiting.question, why));
    this.#waiting = undefined;
  }

  /** The way of every program that does not handle the signal. */
  #endNow(signal: Signal): void {
    this.close();
    this.#host.kill(this.#host.pid, signal);
  }

  #write(text: string): void {
    try {
      writeSync(this.#fd, text);
    } catch {
      // A terminal that is gone: its input ends as well, and says so.
    }
  }
}

/** Two turns of the event loop: between them everything that the terminal holds was read, and nobody waited for it. */
async function dropTypedAhead(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function interrupted(question: string, why: string): CountersignError {
  return new CountersignError('interrupted', `${why} at the question ${JSON.stringify(question)}`);
}
