// Durations as people write them in the configuration: "90s", "15m", "24h", "1d".
import { CountersignError } from './errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Milliseconds of a duration such as "24h".
 * @throws CountersignError `config-invalid` when the text is not a whole number with a unit.
 */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const unit = UNIT_MS[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    throw new CountersignError(
      'config-invalid',
      `duration ${JSON.stringify(text)} is not a whole number with one of the units ms, s, m, h, d`,
    );
  }
  return Number(match[1]) * unit;
}

/** The shortest exact spelling: 86400000 is "1d". */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = UNIT_MS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}
