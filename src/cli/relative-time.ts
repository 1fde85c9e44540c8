// Times as people compare them: "in 23 h", "4 min ago".

const UNITS: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** `ms` after now ("in 23 h") or, negative, before it ("23 h ago"); rounded down, days from 48 hours on. */
export function relativeTime(ms: number): string {
  const distance = Math.abs(ms);
  const [name, size] = UNITS.find(([unit, length]) => distance >= (unit === 'd' ? 2 * length : length)) ?? [
    's',
    1000,
  ];
  const count = Math.floor(distance / size);
  if (count === 0) return 'now';
  return ms > 0 ? `in ${count} ${name}` : `${count} ${name} ago`;
}
