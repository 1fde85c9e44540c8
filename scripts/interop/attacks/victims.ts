// The clients of the interop suite as victims: processes of their own that trust the first root and keep their memory in a
// folder.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ClientKind, InteropClient } from '../clients.ts';
import { clientBehindInstaller, type Victim } from './campaign.ts';

export interface VictimPlace {
  /** For the victims to fill. */
  readonly folder: string;
  /** The root that they are shipped with. */
  readonly root: Uint8Array;
}

/** `program`: of the installed client. */
export function clientVictim(kind: ClientKind, program: string, place: VictimPlace): Victim {
  const open = (own: string, rootFile: string, address: string): Promise<InteropClient> =>
    kind.open(program, {
      rootFile,
      metadataUrl: `${address}/metadata`,
      targetsUrl: `${address}/targets`,
      directory: path.join(own, 'client'),
    });
  let template: Promise<string> | undefined;
  /** A client that was given its root and has asked for nothing: made once, then copied. */
  const armed = async (): Promise<string> => {
    const { own, rootFile } = await newPlace(place, kind.name, 'template');
    await open(own, rootFile, 'http://127.0.0.1:1');
    return path.join(own, 'client');
  };
  return {
    name: kind.name,
    arm: async (attack) => {
      const { own, rootFile } = await newPlace(place, kind.name, attack);
      template ??= armed();
      await cp(await template, path.join(own, 'client'), { recursive: true });
      return clientBehindInstaller(async (address) => {
        const client = await open(own, rootFile, address);
        return async (target) => readFile(await client.download(target));
      });
    },
  };
}

/** A folder for one attack, with the root. */
export async function newPlace(
  { folder, root }: VictimPlace,
  victim: string,
  attack: string,
): Promise<{ own: string; rootFile: string }> {
  const own = path.join(folder, victim.replaceAll(/[^\w.]+/g, '-'), attack);
  await mkdir(own, { recursive: true });
  const rootFile = path.join(own, 'shipped-root.json');
  await writeFile(rootFile, root);
  return { own, rootFile };
}
