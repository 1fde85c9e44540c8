// What every command of the ceremony is given: the process, as main.ts hands it over, and how to answer.
import type { Writable } from 'node:stream';
import type { Command } from 'commander';
import type { Clock } from '../src/lib/clock.ts';
import { printable } from '../src/lib/printable.ts';
import type { RandomSource } from './ceremony-key.ts';
import type { OwnDigest } from './own-digest.ts';
import type { Machine } from './self-check-machine.ts';
import type { OpenHolderKey } from './holder-key.ts';
import type { Terminal } from './terminal.ts';

export interface CeremonyContext {
  readonly cwd: string;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** The file that runs; absent where the program is a part of another, as in tests. */
  readonly tool?: OwnDigest;
  /** The computer that the self-check looks at; absent in rehearsals, whose keys are worth nothing. */
  readonly machine?: Machine;
  /** Whom to ask. Absent where nobody answers: a command that has a question left then fails with `usage`. */
  readonly terminal?: Terminal;
  /** Looks whether a private key is there, before anybody is asked for anything. */
  readonly findKey?: (reference: string) => Promise<void>;
  /** How private keys of holders are opened. */
  readonly openKey?: OpenHolderKey;
  /** log2 of scrypt's cost for what a passphrase encrypts; 18 by default, lower only in tests. */
  readonly workFactor?: number;
}

/** What a command found out: one document for --json, and the same for people. */
export interface CeremonyAnswer {
  readonly json: unknown;
  /** Lines for standard output, without the last line end; nothing is printed when empty. */
  readonly text: string;
  /** 1 for an answer that is a refusal, such as findings of a check. */
  readonly status?: 1;
}

/** Set by a command whose answer is itself a refusal. */
export class AnsweredWithStatus extends Error {
  readonly status: 1;

  constructor(status: 1) {
    super(`answered with status ${status}`);
    this.status = status;
  }
}

/** Prints an answer in the form that was asked for: `--json` before or after the command's name. */
export function answer({ stdout }: CeremonyContext, command: Command, given: CeremonyAnswer): void {
  if (command.optsWithGlobals<{ json?: true }>().json === true) {
    stdout.write(`${JSON.stringify(given.json, null, 2)}\n`);
  } else if (given.text !== '') {
    stdout.write(`${printable(given.text)}\n`);
  }
  if (given.status !== undefined) throw new AnsweredWithStatus(given.status);
}

/** The command that others stand under, such as `plan` or `key`: made by whoever comes first. */
export function commandGroup(program: Command, name: string, description: string): Command {
  const found = program.commands.find((command) => command.name() === name);
  return found ?? program.command(name).description(description);
}
