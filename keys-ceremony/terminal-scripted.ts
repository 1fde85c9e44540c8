// A terminal whose answers were written down beforehand: rehearsals and tests. It is as strict as a person with a
// runbook: each answer belongs to one question, and a question that nobody expected ends the play.
import { CountersignError } from '../src/lib/errors.ts';
import { Questions } from './terminal-questions.ts';
import type { Choice, Terminal } from './terminal.ts';

export interface ScriptedAnswer {
  /** A part of the question. */
  readonly question: string;
  /** What is typed, or what is pressed instead. */
  readonly answer: string | typeof CTRL_C;
}

export const CTRL_C = Symbol('Ctrl-C');

export class ScriptedTerminal implements Terminal {
  readonly isInteractive = true;
  /** What was said and asked, line by line; answers that are shown stand behind their questions. */
  readonly shown: string[] = [];
  /** Secrets that were shown to be written down, in their order. */
  readonly revealed: string[] = [];
  readonly #script: ScriptedAnswer[];
  readonly #questions = new Questions(this);
  readonly #also: (line: string) => void;

  /** @param also Sees what is shown, too. */
  constructor(script: readonly ScriptedAnswer[], also: (line: string) => void = () => undefined) {
    this.#script = [...script];
    this.#also = also;
  }

  /** Answers that were not asked for. */
  get left(): readonly ScriptedAnswer[] {
    return this.#script;
  }

  say(line: string): void {
    this.shown.push(...line.split('\n'));
    this.#also(line);
  }

  ask(question: string): Promise<string> {
    return this.#answer(question, true).then((line) => line.trim());
  }

  secret(question: string): Promise<string> {
    return this.#answer(`${question} (not shown)`, false);
  }

  confirm(question: string, options: { readonly default: boolean }): Promise<boolean> {
    return this.#questions.confirm(question, options.default);
  }

  choose<T extends string>(question: string, options: readonly Choice<T>[]): Promise<T> {
    return this.#questions.choose(question, options);
  }

  async reveal(secret: string, question: string): Promise<void> {
    this.revealed.push(secret);
    await this.#answer(question, true);
  }

  #answer(question: string, visible: boolean): Promise<string> {
    const next = this.#script.shift();
    if (next === undefined || !question.includes(next.question)) {
      const wanted = next === undefined ? 'no further question' : `a question with "${next.question}"`;
      const message = `the script expects ${wanted}, but was asked "${question}"`;
      return Promise.reject(new CountersignError('internal', message));
    }
    if (next.answer === CTRL_C) {
      const message = `Ctrl-C was pressed at the question "${question}"`;
      return Promise.reject(new CountersignError('interrupted', message));
    }
    this.say(visible ? `${question}: ${next.answer}` : `${question}:`);
    return Promise.resolve(next.answer);
  }
}
