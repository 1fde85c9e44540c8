// Every attack on every victim, and the table of it.
import { writeFile } from 'node:fs/promises';
import { systemClock } from '../../../src/lib/clock.ts';
import { mapConcurrent } from '../../../src/lib/concurrency.ts';
import { inCheckout } from '../checkout.ts';
import type { ClientKind } from '../clients.ts';
import { countersignClient } from '../countersign-client.ts';
import { goTuf } from '../go-tuf.ts';
import { pythonTufClient } from '../python-tuf-client.ts';
import { installPip } from '../real-pip.ts';
import { newestTufJsClient } from '../tuf-js.ts';
import type { Attack } from './attack.ts';
import { allAttacks } from './attacks.ts';
import { attacksPage, type Column } from './attacks-page.ts';
import { carryOut, type Result, type Victim } from './campaign.ts';
import { startHostileMirror, type HostileMirror } from './hostile-mirror.ts';
import { MIRROR, mirrorVictim, PROXY, proxyVictim } from './own-programs.ts';
import { firstRoot, makeScene, type Scene } from './scene.ts';
import { isDefeat } from './verdict.ts';
import { clientVictim } from './victims.ts';

/** Milliseconds: more than our own client waits for an answer that never begins. */
const MIRROR_PATIENCE_MS = 45_000;

/** Attacks at once; those that only wait are not counted. */
const AT_ONCE = 3;

export const ATTACKS_PAGE = 'docs/attacks.md';

/** Carries out all attacks and writes docs/attacks.md; resolves with one line, rejects when one of ours was beaten. */
export async function runAttacks(folder: string): Promise<string> {
  const scene = makeScene(systemClock.now());
  const attacks = allAttacks(scene);
  const columns = await columnsOf(folder, scene);
  const mirror = await startHostileMirror(attacks, {
    root: firstRoot(scene),
    patienceMs: MIRROR_PATIENCE_MS,
  });
  try {
    const results = await attackAll(attacks, columns, scene, mirror);
    await writeFile(inCheckout(ATTACKS_PAGE), attacksPage(attacks, columns, results));
    const own = new Set(columns.flatMap(({ name, own: isOurs }) => (isOurs ? [name] : [])));
    const beaten = results.filter(({ victim, verdict }) => own.has(victim) && isDefeat(verdict));
    if (beaten.length > 0) {
      throw new Error(
        beaten.map((it) => `${it.victim}, ${it.attack}: ${it.verdict}, ${it.words}`).join('\n'),
      );
    }
    const others = results.filter(({ verdict }) => isDefeat(verdict)).length;
    return `${attacks.length} attacks, ${results.length} carried out; ours beaten 0 times, others ${others}`;
  } finally {
    await mirror.close();
  }
}

/** The names of all columns. */
export function victimNames(): string[] {
  return [...clientsUnderAttack().map(({ name }) => name), MIRROR, PROXY];
}

/** The newest version of each; the repository that is attacked has succinct roles. */
function clientsUnderAttack(): readonly ClientKind[] {
  return [countersignClient, pythonTufClient('7.0.1'), newestTufJsClient, goTuf];
}

async function columnsOf(folder: string, scene: Scene): Promise<(Column & { readonly victim?: Victim })[]> {
  const place = { folder, root: firstRoot(scene) };
  const columns: (Column & { readonly victim?: Victim })[] = [];
  for (const kind of clientsUnderAttack()) {
    const { program, reason } = await kind.install();
    const own = kind.name.startsWith('countersign');
    if (program === undefined) columns.push({ name: kind.name, own, absent: reason });
    else columns.push({ name: kind.name, own, victim: clientVictim(kind, program, place) });
  }
  columns.push({ name: MIRROR, own: true, victim: mirrorVictim(place) });
  const { program: pip, reason } = await installPip();
  columns.push({
    name: PROXY,
    own: true,
    ...(pip === undefined ? { absent: reason } : { victim: proxyVictim(`${pip}/bin/pip`, place) }),
  });
  return columns;
}

async function attackAll(
  attacks: readonly Attack[],
  columns: readonly { readonly victim?: Victim }[],
  scene: Scene,
  mirror: HostileMirror,
): Promise<Result[]> {
  const victims = columns.flatMap(({ victim }) => victim ?? []);
  const pairs = attacks.flatMap((attack) => victims.map((victim) => ({ attack, victim })));
  const now = (): number => systemClock.now();
  const fight = ({ attack, victim }: (typeof pairs)[number]): Promise<Result> =>
    carryOut(attack, victim, scene, mirror, now);
  const waits = ({ attack }: (typeof pairs)[number]): boolean => attack.kind === 'slow retrieval';
  const [waiting, busy] = await Promise.all([
    Promise.all(pairs.filter(waits).map(fight)),
    mapConcurrent(
      pairs.filter((pair) => !waits(pair)),
      AT_ONCE,
      fight,
    ),
  ]);
  return [...waiting, ...busy];
}
