// A simple index, page by page, for whoever reads it again and again (src/follow).
import type { Clock } from '../../lib/clock.ts';
import { CountersignError } from '../../lib/errors.ts';
import { indexedFiles } from './index-files.ts';
import { projectsOf } from './index-page.ts';
import { askPage } from './index-request.ts';
import type { IndexedFile } from './kept-pages.ts';

export interface SimpleIndexOptions {
  /** With a slash at its end. */
  readonly url: string;
  /** Download new files and compare length and hash. */
  readonly fetch: boolean;
  readonly clock: Clock;
}

/** What a page says, and how to ask whether it says something else by now. */
export interface IndexPage {
  readonly etag?: string;
  /** `X-PyPI-Last-Serial`: the state that the page shows, which may be older than the list's. */
  readonly serial?: number;
  readonly files: readonly IndexedFile[];
}

export interface SimpleIndexReader {
  /** Every project by its normalized name, with its `_last-serial` where the index gives one. */
  projects(): Promise<ReadonlyMap<string, number | undefined>>;
  page(
    project: string,
    known: { readonly etag?: string } | undefined,
    files: readonly IndexedFile[],
  ): Promise<IndexPage | 'unchanged' | 'absent'>;
}

/** Its methods throw CountersignError `manifest-invalid` and `service-unavailable`. */
export function simpleIndexReader({ url, fetch, clock }: SimpleIndexOptions): SimpleIndexReader {
  return {
    projects: async () => {
      const list = await askPage(url, undefined, clock);
      if (typeof list === 'string') {
        throw new CountersignError('manifest-invalid', `${url} has no list of projects: it is ${list}`);
      }
      const { projects, serials } = projectsOf(list);
      return new Map(projects.map((project) => [project, serials.get(project)]));
    },
    page: async (project, known, files) => {
      const answer = await askPage(`${url}${encodeURIComponent(project)}/`, known?.etag, clock);
      if (typeof answer === 'string') return answer;
      const { etag, serial } = answer;
      return {
        ...(etag === undefined ? {} : { etag }),
        ...(serial === undefined ? {} : { serial }),
        files: await indexedFiles(answer, files, { clock, fetch }),
      };
    },
  };
}
