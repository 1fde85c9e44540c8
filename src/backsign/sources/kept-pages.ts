// What the pages of an index said, kept in a file as they came, so that a crawl that was interrupted, or is made again,
// gets nothing twice. In memory is only where each page begins.
import * as fs from 'node:fs';
import { writeWhole } from '../write-whole.ts';

/** A file of the index, as far as it is known. */
export interface IndexedFile {
  readonly path: string;
  readonly length?: number;
  readonly sha256?: string;
  /** Why it cannot be signed although the index names it. */
  readonly problem?: string;
  /** The problem may be over when the file is asked for again. */
  readonly mayPass?: true;
  /** It was downloaded, and is what the index says. */
  readonly fetched?: true;
}

export interface Page {
  readonly project: string;
  readonly etag?: string;
  readonly files: readonly IndexedFile[];
}

const NEWLINE = 0x0a;

export class KeptPages {
  readonly #name: string;
  readonly #file: number;
  readonly #places = new Map<string, readonly [begin: number, length: number]>();
  #size: number;

  /** Opens the file, or makes it. Half a line at its end, left by a killed crawl, is cut off. */
  constructor(file: string) {
    this.#name = file;
    this.#file = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    this.#size = 0;
    const chunk = Buffer.alloc(1024 * 1024);
    let line: Buffer[] = [];
    let read = 0;
    for (;;) {
      const count = fs.readSync(this.#file, chunk, 0, chunk.length, read);
      if (count === 0) break;
      let begin = 0;
      for (let end = chunk.indexOf(NEWLINE); end !== -1 && end < count; end = chunk.indexOf(NEWLINE, begin)) {
        this.#note(Buffer.concat([...line, chunk.subarray(begin, end)]));
        line = [];
        begin = end + 1;
      }
      line.push(Buffer.from(chunk.subarray(begin, count)));
      read += count;
    }
    fs.ftruncateSync(this.#file, this.#size);
  }

  get(project: string): Page | undefined {
    const place = this.#places.get(project);
    if (place === undefined) return undefined;
    const bytes = Buffer.alloc(place[1]);
    fs.readSync(this.#file, bytes, 0, bytes.length, place[0]);
    return JSON.parse(bytes.toString('utf8')) as Page;
  }

  *all(): Generator<Page> {
    for (const project of this.#places.keys()) {
      const page = this.get(project);
      if (page !== undefined) yield page;
    }
  }

  /** @throws CountersignError `backsign-state`. */
  add(page: Page): void {
    const line = Buffer.from(JSON.stringify(page));
    writeWhole(this.#file, this.#name, Buffer.concat([line, Buffer.of(NEWLINE)]), this.#size);
    this.#places.set(page.project, [this.#size, line.length]);
    this.#size += line.length + 1;
  }

  close(): void {
    fs.closeSync(this.#file);
  }

  #note(line: Buffer): void {
    const { project } = JSON.parse(line.toString('utf8')) as Page;
    this.#places.set(project, [this.#size, line.length]);
    this.#size += line.length + 1;
  }
}
