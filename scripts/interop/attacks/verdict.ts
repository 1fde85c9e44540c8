// What became of a victim.
import { sha256Hex } from '../../../src/lib/bytes.ts';
import type { Attack } from './attack.ts';
import type { Installed } from './installer.ts';
import type { Scene } from './scene.ts';

export type Verdict =
  /** It installs nothing, and says why. */
  | 'refused'
  /** It installs today's release, in spite of the attack. */
  | 'safe'
  /** It installs something else. */
  | 'FOOLED'
  /** It was still waiting, or reading, when the mirror gave up. */
  | 'held'
  /** It does not find its way back to today's release. */
  | 'LOCKED OUT';

/** What came of it: what was installed, or why nothing was. */
export type Outcome =
  { readonly installed: Installed } | { readonly refusal: string; readonly code?: string };

export function judge(attack: Attack, { wheel }: Scene, outcome: Outcome, outlasted: boolean): Verdict {
  if ('installed' in outcome) {
    const { installed } = outcome;
    const right = installed.size === 1 && installed.get(wheel.fileName) === sha256Hex(wheel.bytes);
    return right ? 'safe' : 'FOOLED';
  }
  if (attack.goal === 'served') return 'LOCKED OUT';
  return outlasted ? 'held' : 'refused';
}

/** Whether a client may be called safe from the attack. */
export function isDefeat(verdict: Verdict): boolean {
  return verdict !== 'refused' && verdict !== 'safe';
}
