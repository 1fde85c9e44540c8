// Bins of a layout to come, made from those of the current one. Hash space is divided by leading bits: each new bin
// needs one bin, or some neighbours, and nothing has to be sorted or kept beside the store. (ADR 20)
//
// May assume: every bin that `base` gives was verified, and is nobody else's: its memory is used again. Next: ./seal.ts, ./write.ts
import { returnMemory } from '../lib/memory.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import { alignedBins, type BinLayout } from '../tuf/bins.ts';
import type { BaseDocument } from './verified-reads.ts';

/** Bins of the current layout that are kept divided: as many as bins in hand can need, and a few. */
const KEPT = 8;

/** Makes bins of `layout`; each bin of the current one is divided once while its neighbours are in hand. */
export function rebuilder(
  current: BinLayout,
  layout: BinLayout,
  base: BaseDocument,
): (bin: number, version: number, expires: string) => Promise<BinDocument> {
  const divided = new Map<number, Promise<ReadonlyMap<number, Buffer>>>();
  const divide = (source: number): Promise<ReadonlyMap<number, Buffer>> => {
    const known = divided.get(source);
    if (known !== undefined) return known;
    const [oldest] = divided.keys();
    if (divided.size >= KEPT && oldest !== undefined) divided.delete(oldest);
    const parts = base(source).then((document) => {
      const entries = entriesByBin(document, layout);
      returnMemory(document.signed);
      return entries;
    });
    divided.set(source, parts);
    return parts;
  };
  return async (bin, version, expires) => {
    const sources = alignedBins(layout, bin, current);
    if (layout.count <= current.count) {
      const documents = await Promise.all(sources.map((source) => base(source)));
      const made = BinDocument.ofEntries(merged(documents), version, expires);
      for (const { signed } of documents) returnMemory(signed);
      return made;
    }
    const [source = current.first] = sources;
    const entries = (await divide(source)).get(bin) ?? Buffer.alloc(0);
    return BinDocument.ofEntries(entries, version, expires);
  };
}

function entriesByBin(document: BinDocument, layout: BinLayout): ReadonlyMap<number, Buffer> {
  const entries = new Map<number, Uint8Array[]>();
  for (const [path, entry] of document.slices()) {
    const bin = layout.indexOf(path);
    const list = entries.get(bin);
    if (list === undefined) entries.set(bin, [entry]);
    else list.push(entry);
  }
  return new Map([...entries].map(([bin, list]) => [bin, joined(list)]));
}

/** Bins follow the hash of paths, entries the paths themselves: those of neighbours are mixed. */
function merged(documents: readonly BinDocument[]): Uint8Array {
  const [only] = documents;
  if (documents.length === 1 && only !== undefined) return only.entryBytes;
  const all = documents.flatMap((document) => [...document.slices()]);
  // Paths are ASCII: JavaScript's order is the canonical one.
  all.sort(([a], [b]) => (a < b ? -1 : 1));
  return joined(all.map(([, entry]) => entry));
}

/** With commas. */
function joined(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(entries.flatMap((entry, index) => (index === 0 ? [entry] : [COMMA, entry])));
}

const COMMA = Buffer.from(',');
