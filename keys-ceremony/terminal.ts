// The terminal as the ceremony sees it: one question at a time, to one person.

export interface Choice<T extends string = string> {
  readonly value: T;
  /** One line that says what this choice means. */
  readonly title: string;
}

/**
 * Every question ends with an error `interrupted` when the person presses Ctrl-C or Ctrl-D, the terminal closes, or the
 * program is told to end. terminal-tty.ts has the rules of the real one, terminal-scripted.ts plays a script.
 */
export interface Terminal {
  /** False when nobody can answer: every question then throws `usage` that names the option to give instead. */
  readonly isInteractive: boolean;

  /** Shows one line (or several, with line ends between them) on standard error. Never a secret. */
  say(line: string): void;

  /** An answer without white space around it; may be empty. */
  ask(question: string): Promise<string>;

  /** An answer that is never shown. */
  secret(question: string): Promise<string>;

  /**
   * Asks again until the answer is yes or no; an empty one is the default.
   * @throws CountersignError `answer-wrong` after three others.
   */
  confirm(question: string, options: { readonly default: boolean }): Promise<boolean>;

  /**
   * Asks again until the answer is one of the options, by its number or its name.
   * @throws CountersignError `answer-wrong` after three others.
   */
  choose<T extends string>(question: string, options: readonly Choice<T>[]): Promise<T>;

  /**
   * Shows a secret that the person has to write down, on the terminal only, until they answer `question`; then takes it
   * off the screen.
   */
  reveal(secret: string, question: string): Promise<void>;
}
