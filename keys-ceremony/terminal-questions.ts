// What is asked, apart from how it is read: the forms of the questions, and how often a person may answer wrongly.
import { CountersignError } from '../src/lib/errors.ts';
import type { Choice, Terminal } from './terminal.ts';

/** Answers to one question that do not fit, after which the program refuses: somebody who goes on is guessing. */
export const MAX_WRONG_ANSWERS = 3;

/**
 * Asks until `read` takes the answer. `read` throws a CountersignError for an answer that does not fit; its message is
 * shown, and the question asked again.
 * @throws CountersignError of the last answer after three that did not fit; anything else that `read` throws, at once.
 */
export async function askUntil<T>(
  terminal: Pick<Terminal, 'say'>,
  ask: () => Promise<string>,
  read: (answer: string) => T | Promise<T>,
): Promise<T> {
  for (let wrong = 1; ; wrong += 1) {
    const answer = await ask();
    try {
      return await read(answer);
    } catch (error) {
      if (!(error instanceof CountersignError) || wrong === MAX_WRONG_ANSWERS) throw error;
      // `read` may ask on: whoever ends that question ends this one.
      if (error.code === 'interrupted' || error.kind === 'internal') throw error;
      terminal.say(`  ${error.message} (try ${wrong} of ${MAX_WRONG_ANSWERS})`);
    }
  }
}

/** For an answer that does not fit, inside `askUntil`. */
export function wrongAnswer(message: string): CountersignError {
  return new CountersignError('answer-wrong', message);
}

/** `confirm` and `choose` of a terminal that can ask for a line. */
export class Questions {
  readonly #terminal: Pick<Terminal, 'say' | 'ask'>;

  constructor(terminal: Pick<Terminal, 'say' | 'ask'>) {
    this.#terminal = terminal;
  }

  confirm(question: string, fallback: boolean): Promise<boolean> {
    const hint = fallback ? '[yes, or no]' : '[no, or yes]';
    return askUntil(
      this.#terminal,
      () => this.#terminal.ask(`${question} ${hint}`),
      (answer) => {
        if (answer === '') return fallback;
        if (/^y(es)?$/i.test(answer)) return true;
        if (/^no?$/i.test(answer)) return false;
        throw wrongAnswer('please answer yes or no');
      },
    );
  }

  choose<T extends string>(question: string, options: readonly Choice<T>[]): Promise<T> {
    this.#terminal.say(question);
    for (const [index, { value, title }] of options.entries()) {
      this.#terminal.say(`  ${index + 1}. ${value}: ${title}`);
    }
    const names = options.map(({ value }) => value).join(', ');
    return askUntil(
      this.#terminal,
      () => this.#terminal.ask(`Number or name`),
      (answer) => {
        const chosen = /^\d{1,3}$/.test(answer)
          ? options[Number(answer) - 1]
          : options.find(({ value }) => value === answer.toLowerCase());
        if (chosen !== undefined) return chosen.value;
        throw wrongAnswer(`please answer one of ${names}, or a number from 1 to ${options.length}`);
      },
    );
  }
}
