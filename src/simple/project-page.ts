// One project of a simple index: what its page says, in either form (PEP 503 HTML, PEP 691 JSON). The forms are in
// page-html.ts and page-json.ts.

export interface PageFile {
  readonly fileName: string;
  /** Absolute, or relative to the page; without a fragment. */
  readonly url: string;
  /** Algorithm names to hex digests; may be empty. */
  readonly hashes: Readonly<Record<string, string>>;
  /** Bytes (PEP 700). */
  readonly size?: number;
  /** ISO 8601, UTC (PEP 700). */
  readonly uploadTime?: string;
  /** PEP 345 version specifiers, such as `>=3.9`. */
  readonly requiresPython?: string;
  /** PEP 592: true, or the reason. */
  readonly yanked?: true | string;
  /** PEP 658, PEP 714: hashes of the metadata file beside this one; empty when it is there and its hash is not said. */
  readonly coreMetadata?: Readonly<Record<string, string>>;
  /** PEP 740: where the provenance of the file is. */
  readonly provenance?: string;
}

export interface ProjectPage {
  /** Normalized (PEP 503). */
  readonly name: string;
  /** PEP 700: every version that has a file, in the order of the page. */
  readonly versions: readonly string[];
  readonly files: readonly PageFile[];
}

/** Files of one page. The largest projects of PyPI have some 10,000. */
export const MAX_PAGE_FILES = 50_000;

/** Bytes of one page: 50,000 files with 600 bytes each. */
export const MAX_PAGE_BYTES = 32 * 1024 * 1024;
