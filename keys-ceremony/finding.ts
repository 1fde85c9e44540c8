// What a lint rule found. The id of a rule is stable: people search for it, scripts compare it.

export type Severity = 'refuse' | 'warn';

export interface Finding {
  readonly rule: string;
  readonly severity: Severity;
  /** Lower case, names the thing and both values. */
  readonly message: string;
}

export function refusal(rule: string, message: string): Finding {
  return { rule, severity: 'refuse', message };
}

export function warning(rule: string, message: string): Finding {
  return { rule, severity: 'warn', message };
}
