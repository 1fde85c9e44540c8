// What is inside the ceremony's one file, as a CycloneDX 1.6 document. Without a date, and with a serial number that
// follows from its content: the same file has the same document everywhere.
import { createHash } from 'node:crypto';
import type { BundledPackage } from './packages.ts';

/** The program that the document is about. */
export interface Product {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly sha256: string;
}

/** The text of the document. */
export function sbomOf(product: Product, packages: readonly BundledPackage[]): string {
  const productRef = `${product.name}@${product.version}`;
  const inner = new Set(packages.flatMap(({ dependsOn }) => dependsOn));
  const refs = packages.map(({ name, version }) => `${name}@${version}`);
  const content = {
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': productRef,
        name: product.name,
        version: product.version,
        hashes: [{ alg: 'SHA-256', content: product.sha256 }],
        licenses: [{ license: { id: product.licence } }],
      },
    },
    components: packages.map(({ name, version, licence, sha512 }) => ({
      type: 'library',
      'bom-ref': `${name}@${version}`,
      ...nameParts(name),
      version,
      scope: 'required',
      // Of the archive that npm installed, as package-lock.json has it.
      hashes: [{ alg: 'SHA-512', content: sha512 }],
      licenses: [/[ ()]/.test(licence) ? { expression: licence } : { license: { id: licence } }],
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    })),
    dependencies: [
      { ref: productRef, dependsOn: refs.filter((ref) => !inner.has(ref)) },
      ...packages.map(({ name, version, dependsOn }) => ({ ref: `${name}@${version}`, dependsOn })),
    ],
  };
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(content))}`;
  return `${JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber, ...content }, null, 2)}\n`;
}

function nameParts(name: string): { group?: string; name: string } {
  const slash = name.indexOf('/');
  return slash === -1 ? { name } : { group: name.slice(0, slash), name: name.slice(slash + 1) };
}

/** RFC 9562 version 8: a UUID whose bits are our own, here those of a SHA-256. */
function uuidOf(content: string): string {
  const bytes = createHash('sha256').update(content).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
