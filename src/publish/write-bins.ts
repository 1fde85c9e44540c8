// Bins on their way into the store: signed, verified, written, slice by slice. On whichever thread (./bin-threads.ts).
//
// May assume: the commit point is passed. Next: ./seal.ts, ./write.ts
import { sha256Hex } from '../lib/bytes.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { returnMemory } from '../lib/memory.ts';
import type { BinVersion, Intent } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { BinDocument } from '../tuf/bin-document.ts';
import { sealBins, signedByAll } from './seal.ts';
import { signersOf, type Signers } from './signers.ts';
import type { OfflineRoles } from './verified-reads.ts';
import { writeOnce } from './write.ts';

/** Bins signed in one call of the signer, and held in memory at once. */
const SLICE = 16;

/** Slices in hand at once: while one is written, the next is signed. */
const SLICES_IN_FLIGHT = 2;

/**
 * Signs and writes the bins of a publication, with memory bounded whatever their number. Answers the SHA-256 of each
 * file, in the order of `bins`.
 */
export async function writeBins(
  ports: { readonly store: ObjectStore } & Signers,
  roles: OfflineRoles,
  { bins, at, keyids }: Pick<Intent, 'bins' | 'at' | 'keyids'>,
  edited: (bin: BinVersion) => Promise<BinDocument>,
  progress?: (written: number) => void,
): Promise<string[]> {
  const slices = Array.from({ length: Math.ceil(bins.length / SLICE) }, (_, i) =>
    bins.slice(i * SLICE, (i + 1) * SLICE),
  );
  const signers = signersOf(ports, keyids);
  const trust = signedByAll(roles.binTrust, signers);
  let written = 0;
  const digests = await mapConcurrent(slices, SLICES_IN_FLIGHT, async (slice) => {
    const documents = await Promise.all(
      slice.map(async (bin) => ({ index: bin.bin, document: await edited(bin) })),
    );
    const files = await sealBins(signers, roles, documents, at);
    const stored = await Promise.all(files.map((file) => writeOnce(ports.store, file, trust)));
    const digests = stored.map(sha256Hex);
    for (const { bytes } of files) returnMemory(bytes);
    written += slice.length;
    progress?.(written);
    return digests;
  });
  return digests.flat();
}
