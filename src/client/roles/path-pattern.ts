// TUF 4.5 PATHPATTERN: shell-style wildcards (`*`, `?`, `[abc]`, `[!a-z]`) that never match a slash. Matched with two
// pointers, segment by segment: no pattern can make it slow, as a regular expression of many stars would be.

/** Whether a delegation's pattern covers a target path. */
export function matchesPattern(path: string, pattern: string): boolean {
  const paths = path.split('/');
  const patterns = pattern.split('/');
  return (
    paths.length === patterns.length &&
    patterns.every((segment, index) => matchesSegment(paths[index] ?? '', segment))
  );
}

function matchesSegment(text: string, pattern: string): boolean {
  let at = 0;
  let next = 0;
  // Where the last star stands, and how much of the text it has taken so far.
  let star = -1;
  let taken = 0;
  while (at < text.length) {
    const after = pattern[next] === '*' ? undefined : matchOne(text, at, pattern, next);
    if (after !== undefined) {
      at += 1;
      next = after;
    } else if (pattern[next] === '*') {
      star = next++;
      taken = at;
    } else if (star >= 0) {
      next = star + 1;
      at = ++taken;
    } else return false;
  }
  while (pattern[next] === '*') next++;
  return next === pattern.length;
}

/** The place behind the pattern's element at `next` when it matches the character at `at`. */
function matchOne(text: string, at: number, pattern: string, next: number): number | undefined {
  const wanted = pattern[next];
  if (wanted === undefined) return undefined;
  if (wanted === '?') return next + 1;
  // As fnmatch: a bracket right behind the opening one belongs to the set; one that is never closed is a character.
  const end = wanted === '[' ? pattern.indexOf(']', next + (pattern[next + 1] === '!' ? 3 : 2)) : -1;
  if (end === -1) return wanted === text[at] ? next + 1 : undefined;
  const negated = pattern[next + 1] === '!';
  const set = pattern.slice(next + (negated ? 2 : 1), end);
  return inSet(text[at] ?? '', set) === negated ? undefined : end + 1;
}

function inSet(character: string, set: string): boolean {
  for (let i = 0; i < set.length; i++) {
    const low = set[i] ?? '';
    const high = set[i + 1] === '-' ? set[i + 2] : undefined;
    if (high === undefined) {
      if (character === low) return true;
    } else {
      if (character >= low && character <= high) return true;
      i += 2;
    }
  }
  return false;
}
