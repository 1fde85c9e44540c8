// What an installer does behind any client: it reads a project's page, takes the newest wheel, its metadata file, and
// whatever that asks for. Every byte comes through `download`, so what is installed is what the client believed.
import { asBuffer, sha256Hex } from '../../../src/lib/bytes.ts';
import { pagePath } from './scene.ts';

/** File names to the SHA-256 of their content. */
export type Installed = ReadonlyMap<string, string>;

/** The verified content of a target path; rejects when it is refused. */
export type Download = (path: string) => Promise<Uint8Array>;

export async function install(project: string, download: Download): Promise<Installed> {
  const installed = new Map<string, string>();
  const pending = [project];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const wheel = newestOn(asBuffer(await download(pagePath(next))).toString());
    if (wheel === undefined) throw new Error(`the page of ${next} links to no wheel`);
    const metadata = asBuffer(await download(`${wheel}.metadata`)).toString();
    installed.set(wheel.slice(wheel.lastIndexOf('/') + 1), sha256Hex(await download(wheel)));
    for (const [, required = ''] of metadata.matchAll(/^Requires-Dist: (\S+)$/gm)) {
      if (![...installed.keys()].some((name) => name.startsWith(`${required}-`))) pending.push(required);
    }
  }
  return installed;
}

/** The target path of the wheel with the highest version among the links of a page. */
function newestOn(page: string): string | undefined {
  const links = [...page.matchAll(/href="\.\.\/\.\.\/(packages\/[^"#]+\.whl)/g)].flatMap(
    ([, path = '']) => path,
  );
  return links.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
}
