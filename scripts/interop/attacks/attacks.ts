// Every attack, in the order of the table.
import { ATTACK_KINDS, type Attack } from './attack.ts';
import { keyAttacks } from './key-attacks.ts';
import { mirrorAttacks } from './mirror-attacks.ts';
import type { Scene } from './scene.ts';

export function allAttacks(scene: Scene): Attack[] {
  const attacks = [...mirrorAttacks(scene), ...keyAttacks(scene)];
  return ATTACK_KINDS.flatMap((kind) => attacks.filter((attack) => attack.kind === kind));
}
