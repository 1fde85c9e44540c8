// What a program said, for a table: the line that says why, without what differs from run to run.

/** `words`: of a RunOptions error, or any message. */
export function plain(words: string): string {
  const lines = words.split('\n').filter((line) => line.trim() !== '');
  // Our programs say their name, also through an installer that quotes them; others begin with the reason.
  const line = lines.find((it) => it.includes('countersign: ')) ?? lines[0] ?? '';
  const [, own = line] = /countersign: (.*)$/.exec(line) ?? [];
  return own
    .replace(/"\. The only supported .*$/, '')
    .replace(/ for url: .*$/, '')
    .replaceAll(/^.* ended with \S+: /g, '')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'mirror')
    .replaceAll(/(?<=\/(?:attack|before))-\d+/g, '')
    .replaceAll(/[0-9a-f]{64}/g, '…')
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?/g, '…')
    .replaceAll(/(?<=^|[\s'"(])\/\S+\//g, '…/')
    .replaceAll('|', '\\|')
    .trim()
    .slice(0, 220);
}
