// A verified page as an installer gets it: in the form that it asked for, with every link leading back to this proxy.
import { quotePath } from '../client/quoted-name.ts';
import { sha256Hex } from '../lib/bytes.ts';
import { renderHtmlPage } from '../simple/page-html.ts';
import { renderJsonPage } from '../simple/page-json.ts';
import type { PageForm } from '../simple/page-form.ts';
import type { PageFile } from '../simple/project-page.ts';
import type { ListedFile, VerifiedPage } from './project-pages.ts';

export interface RenderedPage {
  readonly bytes: Buffer;
  /** Of the bytes, without quotes. */
  readonly tag: string;
}

/** Pages in both forms, rendered once for as long as the page is in memory. */
export class PageAnswers {
  readonly #rendered = new WeakMap<VerifiedPage, Map<PageForm, RenderedPage>>();

  render(page: VerifiedPage, form: PageForm): RenderedPage {
    const forms = this.#rendered.get(page) ?? new Map<PageForm, RenderedPage>();
    this.#rendered.set(page, forms);
    const known = forms.get(form);
    if (known !== undefined) return known;
    const local = { name: page.name, versions: page.versions, files: page.files.map(locally) };
    const bytes = Buffer.from(form === 'json' ? renderJsonPage(local) : renderHtmlPage(local));
    const rendered = { bytes, tag: sha256Hex(bytes).slice(0, 32) };
    forms.set(form, rendered);
    return rendered;
  }
}

/** Relative to `/simple/NAME/`, so that the proxy may stand behind another one under any path. */
function locally(file: ListedFile): PageFile {
  const local: { -readonly [K in keyof PageFile]: PageFile[K] } = { ...file };
  local.url = `../../files/${quotePath(file.targetPath)}`;
  // Nothing here verifies it, and whoever does has the index's own address.
  delete local.provenance;
  // Nor a metadata file whose hash the page does not say; an installer that is promised one fails without it (PEP 658).
  if (local.coreMetadata?.['sha256'] === undefined) delete local.coreMetadata;
  return local;
}
