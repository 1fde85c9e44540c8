// What a mirror remembers of its own work: a port. The adapter is sqlite-mirror-journal.ts. It spares the
// mirror from reading everything again at each run; without it, or with a stale one, everything is verified anew.

/** A role whose file is in the store, verified, and whose selected target files are there too. */
export interface HeldRole {
  readonly version: number;
  /** Of the file. */
  readonly sha256: string;
  /** ObjectInfo.stamp of the file when its content was compared last; absent: not since it was written. */
  readonly stamp?: string;
  /** Under which keys it was verified: trustDigest. */
  readonly trust: string;
  /** For which paths: ReachedRole.scope. */
  readonly scope: string;
  /** Number of the selection by which its target files were taken; 0: some could not be had. */
  readonly selection: number;
  /** Whether it delegates further. */
  readonly delegates: boolean;
  /** Milliseconds since the epoch; selections by age are decided at this time. */
  readonly takenAt: number;
}

export interface JournalEntry {
  readonly role?: { readonly name: string; readonly held: HeldRole };
  /** A role that is no longer held. */
  readonly dropped?: string;
  /** Objects that nothing public will name once the next timestamp is public: they are removed after the grace. */
  readonly superseded?: Iterable<string>;
  /** Objects that are needed (again). */
  readonly needed?: Iterable<string>;
}

/** What the mirror shows since when. */
export interface Shown {
  /** SHA-256 of timestamp.json. */
  readonly timestamp: string;
  readonly snapshot: string;
}

export interface MirrorJournal {
  /** The roles that are held. */
  roles(): Map<string, HeldRole>;
  /** What was shown last. */
  shown(): Shown | undefined;

  /** At once or not at all; soon durable, and never before the objects are. */
  record(entries: Iterable<JournalEntry>): void;

  /** The timestamp is public since `at`: what was superseded until now is so since then. */
  show(shown: Shown, at: number): void;

  /** Objects superseded before `before`, the oldest first. */
  due(before: number, limit: number): string[];

  /** The number of a selection, the same for the same text, from 1; and the text of a number. */
  selectionNumber(text: string): number;
  selectionText(number: number): string | undefined;
}
