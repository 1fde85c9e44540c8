// Whether rendered simple index pages agree with the files (docs/adr/0023): each page is there, and lists exactly the
// files of its project that the bins know. Two sums for each project and not the files themselves: memory grows with the
// number of projects only.
import { createHash } from 'node:crypto';
import { sha256Hex } from '../../lib/bytes.ts';
import { CountersignError } from '../../lib/errors.ts';
import { linkedPath, readIndexPage } from '../../simple/index-page.ts';
import { htmlPagePath, parsePagePath, projectOfFile } from '../../simple/page-path.ts';
import type { BinDocument } from '../../tuf/bin-document.ts';
import { targetObjectName } from '../../tuf/layout.ts';
import type { TargetFile } from '../../tuf/metadata.ts';
import type { RepositorySource } from '../source.ts';
import type { Findings } from './findings.ts';
import { readObject } from './form.ts';

/** Files of a project: how many, and a sum over them that has nothing to do with their order. */
class FileSum {
  count = 0;
  #sum = 0n;

  add(path: string, sha256: string, length: number): void {
    const digest = createHash('sha256').update(`${path}\n${sha256}\n${length}`).digest();
    this.count += 1;
    this.#sum += digest.readBigUInt64BE();
  }

  equals(other: FileSum): boolean {
    return this.count === other.count && this.#sum === other.#sum;
  }
}

export class PageCheck {
  readonly #source: RepositorySource;
  readonly #files = new Map<string, FileSum>();
  /** What the bins say about pages, by target path. */
  readonly #pages = new Map<string, TargetFile>();

  constructor(source: RepositorySource) {
    this.#source = source;
  }

  /** Takes in a bin that was found sound. */
  takeBin(bin: BinDocument): void {
    for (const [path, target] of bin.entries()) {
      if (parsePagePath(path) !== undefined) this.#pages.set(path, target);
      const project = projectOfFile(path);
      if (project === undefined) continue;
      const sum = this.#files.get(project) ?? new FileSum();
      sum.add(path, target.hashes.sha256, target.length);
      this.#files.set(project, sum);
    }
  }

  /** After the last bin. */
  async finish(findings: Findings): Promise<void> {
    // Bins come as the disk answers; what is found is told in the same order each time.
    for (const [path, target] of [...this.#pages].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const name = targetObjectName(path, target.hashes.sha256);
      const bytes = await readObject(this.#source, findings, name, target.length, 'simple-object');
      if (bytes === undefined) continue;
      const sha256 = sha256Hex(bytes);
      if (sha256 !== target.hashes.sha256 || bytes.length !== target.length) {
        findings.add(
          'simple-object',
          name,
          `has ${bytes.length} bytes with sha256 ${sha256}, its bin says another`,
        );
      } else if (parsePagePath(path)?.form === 'json') this.#checkPage(findings, path, name, bytes);
    }
    for (const project of [...this.#files.keys()].sort()) {
      const name = htmlPagePath(project);
      if (!this.#pages.has(name))
        findings.add('simple-files', name, `is absent, and project ${project} has files`);
    }
  }

  #checkPage(findings: Findings, path: string, name: string, bytes: Uint8Array): void {
    const project = parsePagePath(path)?.project ?? '';
    try {
      const listed = new FileSum();
      for (const { url, hashes, size } of readIndexPage(project, bytes).files) {
        listed.add(linkedPath(url) ?? '', hashes['sha256'] ?? '', size ?? 0);
      }
      const known = this.#files.get(project) ?? new FileSum();
      if (listed.equals(known)) return;
      findings.add(
        'simple-files',
        name,
        `lists ${listed.count} files, the bins know ${known.count} of project ${project}, or others`,
      );
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      findings.add('simple-files', name, error.message);
    }
  }
}
