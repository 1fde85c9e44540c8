// "Did you mean": the known words that a mistyped one is close to.

/** Edits after which two words no longer look like a slip of the finger. */
const MAX_DISTANCE = 3;

/** At most `limit` of `candidates`, the closest first, that are a few edits away from `word`. */
export function nearMatches(word: string, candidates: readonly string[], limit = 3): string[] {
  const allowed = Math.min(MAX_DISTANCE, Math.max(1, Math.floor(word.length / 2)));
  return candidates
    .map((candidate) => ({ candidate, distance: distance(word, candidate, allowed) }))
    .filter((entry) => entry.distance <= allowed)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, limit)
    .map((entry) => entry.candidate);
}

/** Levenshtein distance; any number above `allowed` when it is larger than that. */
function distance(a: string, b: string, allowed: number): number {
  if (Math.abs(a.length - b.length) > allowed) return allowed + 1;
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
