// Carries out every attack on one victim.
import { CountersignError, messageOf } from '../../../src/lib/errors.ts';
import type { Attack } from './attack.ts';
import type { HostileMirror } from './hostile-mirror.ts';
import { install, type Download } from './installer.ts';
import { pagePath, PRIZE, type Scene } from './scene.ts';
import { judge, type Outcome, type Verdict } from './verdict.ts';

export interface Victim {
  /** With its version. */
  readonly name: string;
  /** A new one that trusts root 1 and nothing else; `attack` gives it a place of its own. */
  arm(attack: string): Promise<ArmedVictim>;
}

export interface ArmedVictim {
  /** What it believes of the repository at `address`; its memory stays for the next call. */
  visit(address: string): Promise<Download>;
  close?(): Promise<void>;
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
      const download = armed.visit(mirror.address(attack.name, 'before'));
      await download.then((get) => get(pagePath(PRIZE))).catch(() => undefined);
    }
    const heldBefore = mirror.outlasted(attack.name);
    const begun = now();
    const outcome = await attempt(armed, mirror.address(attack.name, 'attack'));
    const verdict = judge(attack, scene, outcome, mirror.outlasted(attack.name) > heldBefore);
    const tookMs = now() - begun;
    const code = 'code' in outcome ? { code: outcome.code } : {};
    return { attack: attack.name, victim: victim.name, verdict, words: wordsOf(outcome), ...code, tookMs };
  } finally {
    await armed.close?.();
  }
}

async function attempt(armed: ArmedVictim, address: string): Promise<Outcome> {
  try {
    return { installed: await install(PRIZE, await armed.visit(address)) };
  } catch (error) {
    return { refusal: messageOf(error), ...(error instanceof CountersignError ? { code: error.code } : {}) };
  }
}

function wordsOf(outcome: Outcome): string {
  if ('refusal' in outcome) return outcome.refusal;
  return `installs ${[...outcome.installed.keys()].join(', ')}`;
}
