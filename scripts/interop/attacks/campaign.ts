// Carries out every attack on one victim.
import { CountersignError, messageOf } from '../../../src/lib/errors.ts';
import type { Attack } from './attack.ts';
import type { HostileMirror } from './hostile-mirror.ts';
import { install, type Download, type Installed } from './installer.ts';
import { pagePath, PRIZE, type Scene } from './scene.ts';
import { judge, type Outcome, type Verdict } from './verdict.ts';

export interface Victim {
  /** With its version. */
  readonly name: string;
  /** A new one that trusts root 1 and nothing else; `attack` gives it a place of its own. */
  arm(attack: string): Promise<ArmedVictim>;
}

export interface ArmedVictim {
  /** Takes what the repository at `address` says into its memory, believing it or not. */
  look(address: string): Promise<void>;
  /** What somebody has installed who asked it for the project, from `address`; rejects with its refusal. */
  install(address: string): Promise<Installed>;
  close?(): Promise<void>;
}

/** A victim that is a TUF client, with the installer behind it. */
export function clientBehindInstaller(visit: (address: string) => Promise<Download>): ArmedVictim {
  return {
    look: async (address) => {
      await (
        await visit(address)
      )(pagePath(PRIZE));
    },
    install: async (address) => install(PRIZE, await visit(address)),
  };
}

export interface Result {
  readonly attack: string;
  readonly victim: string;
  readonly verdict: Verdict;
  /** The victim's own words, or what it installed. */
  readonly words: string;
  /** Of an error that has one. */
  readonly code?: string;
  /** Milliseconds of the attack. */
  readonly tookMs: number;
}

export async function carryOut(
  attack: Attack,
  victim: Victim,
  scene: Scene,
  mirror: HostileMirror,
  now: () => number,
): Promise<Result> {
  const armed = await victim.arm(attack.name);
  try {
    if (attack.before !== undefined) {
      // Whether it believes is not the question yet: an attack before a recovery may be one that nobody can refuse.
      await armed.look(mirror.address(attack.name, 'before')).catch(() => undefined);
    }
    const address = mirror.address(attack.name, 'attack', 'a new visitor');
    const begun = now();
    const outcome = await attempt(armed, address);
    const verdict = judge(attack, scene, outcome, mirror.outlasted(address) > 0);
    const tookMs = now() - begun;
    const code = 'code' in outcome ? { code: outcome.code } : {};
    return { attack: attack.name, victim: victim.name, verdict, words: wordsOf(outcome), ...code, tookMs };
  } finally {
    await armed.close?.();
  }
}

async function attempt(armed: ArmedVictim, address: string): Promise<Outcome> {
  try {
    return { installed: await armed.install(address) };
  } catch (error) {
    return { refusal: messageOf(error), ...(error instanceof CountersignError ? { code: error.code } : {}) };
  }
}

function wordsOf(outcome: Outcome): string {
  if ('refusal' in outcome) return outcome.refusal;
  return `installs ${[...outcome.installed.keys()].join(', ')}`;
}
