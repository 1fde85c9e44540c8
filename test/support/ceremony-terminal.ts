// The ceremony's program at a real terminal: a pseudo-terminal with a person's keys.
import { readdir } from 'node:fs/promises';
import { spawn, type IPty } from '@lydell/node-pty';
import { onTestFinished } from 'vitest';
import { CHECKS } from '../../keys-ceremony/self-check-rules.ts';

const MAIN = new URL('../../dist/keys-ceremony/main.js', import.meta.url).pathname;

/** Goes on although this computer is none for a ceremony. */
export const ACCEPT = Object.keys(CHECKS).flatMap((check) => ['--accept', `${check}=a test`]);

/** A holder's key in `stick`, for the ceremony in `ceremony`. */
export const GENERATE = [
  ...['key', 'generate', '--name', 'holder-1'],
  ...['--out', 'stick', '--folder', 'ceremony'],
  ...ACCEPT,
];

/** Milliseconds until a question must stand there; a start takes less than two seconds, scrypt some more. */
const PATIENCE_MS = 20_000;

export class Session {
  /** All that the terminal showed. */
  shown = '';
  readonly pty: IPty;
  readonly ended: Promise<number>;
  #seen = 0;
  #over = false;
  #wake: () => void = () => undefined;

  constructor(pty: IPty) {
    this.pty = pty;
    pty.onData((text) => {
      this.shown += text;
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      pty.onExit(({ exitCode, signal }) => {
        this.#over = true;
        resolve(signal === undefined || signal === 0 ? exitCode : 128 + signal);
        this.#wake();
      });
    });
  }

  /** Resolves when `text` stands after what was waited for before. */
  async until(text: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const at = this.shown.indexOf(text, this.#seen);
      if (at !== -1) {
        this.#seen = at + text.length;
        return;
      }
      const left = deadline - performance.now();
      if (this.#over || left <= 0) {
        throw new Error(`the terminal never showed ${JSON.stringify(text)} after:\n${this.shown}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Waits for a question and types an answer, with Enter. */
  async answer(question: string, keys: string): Promise<void> {
    await this.press(question, `${keys}\r`);
  }

  /** Waits for a question and presses keys. */
  async press(question: string, keys: string): Promise<void> {
    await this.until(question);
    this.pty.write(keys);
  }
}

/**
 * Starts the program with a controlling terminal.
 * @param shell A command of sh around it, in which "$@" is the program.
 */
export function atTerminal(cwd: string, args: readonly string[], shell = 'exec "$@"'): Session {
  const program = [process.execPath, MAIN, ...args];
  const pty = spawn('sh', ['-c', shell, 'sh', ...program], {
    cwd,
    cols: 200,
    rows: 50,
    env: { PATH: process.env['PATH'], HOME: cwd, TERM: 'dumb' },
  });
  const session = new Session(pty);
  onTestFinished(async () => {
    try {
      pty.kill('SIGKILL');
    } catch {
      // It has ended.
    }
    await session.ended;
  });
  return session;
}

/** Every name below a folder, sorted. */
export async function namesBelow(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}
