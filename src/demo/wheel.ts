// A real wheel, made in memory, so that the demo has a file to download: a zip archive with stored (uncompressed)
// entries and the three members of .dist-info that every wheel has. pip installs it.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { utf8 } from '../lib/bytes.ts';

export interface Wheel {
  readonly fileName: string;
  readonly bytes: Uint8Array;
}

/** 1 January 1980, the earliest date of a zip archive: the same wheel has the same bytes on every day. */
const DOS_DATE = 0x0021;

/** Of zip 2.0, enough for stored entries. */
const ZIP_VERSION = 20;

/** A pure Python wheel with one module. */
export function makeWheel(module: string, version: string, source: string): Wheel {
  const info = `${module}-${version}.dist-info`;
  const metadata = `Metadata-Version: 2.1\nName: ${module.replaceAll('_', '-')}\nVersion: ${version}\n`;
  const wheel = 'Wheel-Version: 1.0\nGenerator: countersign demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n';
  const members: readonly (readonly [name: string, content: Uint8Array])[] = [
    [`${module}.py`, utf8(source)],
    [`${info}/METADATA`, utf8(metadata)],
    [`${info}/WHEEL`, utf8(wheel)],
  ];
  const record = `${info}/RECORD`;
  const rows = members.map(([name, content]) => `${name},sha256=${digest(content)},${content.length}\n`);
  return {
    fileName: `${module}-${version}-py3-none-any.whl`,
    bytes: zip([...members, [record, utf8(`${rows.join('')}${record},,\n`)]]),
  };
}

/** As RECORD wants it: urlsafe base64 without padding. */
function digest(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('base64url');
}

function zip(members: readonly (readonly [name: string, content: Uint8Array])[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [name, content] of members) {
    const encoded = utf8(name);
    // What a member's local header and its line in the central directory have in common.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(ZIP_VERSION, 0);
    common.writeUInt16LE(DOS_DATE, 8);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(content.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(encoded.length, 22);
    parts.push(signature('PK\x03\x04'), common, encoded, content);
    const rest = Buffer.alloc(14);
    // Unix permissions of an ordinary file, in the upper half of the external attributes.
    rest.writeUInt32LE(0o100644 * 2 ** 16, 6);
    rest.writeUInt32LE(offset, 10);
    const madeBy = Buffer.alloc(2);
    madeBy.writeUInt16LE((3 << 8) | ZIP_VERSION);
    directory.push(signature('PK\x01\x02'), madeBy, common, rest, encoded);
    offset += 4 + common.length + encoded.length + content.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(members.length, 4);
  end.writeUInt16LE(members.length, 6);
  end.writeUInt32LE(directoryBytes.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, directoryBytes, signature('PK\x05\x06'), end]);
}

function signature(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}
