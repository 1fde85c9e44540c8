// The beginning of following an index that was back-signed: what was read then is signed already.
import { comparePage, type PageFile } from './compare-page.ts';
import type { FollowState } from './follow-state.ts';

/** A page as back-signing kept it. */
export interface SeedPage {
  readonly project: string;
  readonly etag?: string;
  readonly files: readonly PageFile[];
}

/** Remembers pages without sending anything, unless their project is known already. Answers how many it took. */
export function seedState(
  state: FollowState,
  pages: Iterable<SeedPage>,
  prefix: string,
  now: number,
): number {
  let taken = 0;
  for (const { project, etag, files } of pages) {
    if (state.project(project) !== undefined) continue;
    const found = comparePage(new Map(), files, { prefix, replace: false });
    state.record(project, etag === undefined ? {} : { etag }, { ...found, events: [] }, now);
    taken += 1;
  }
  return taken;
}
