// Structured log lines (pino) on standard error; the level is a setting. Secrets never reach it: they live in
// src/secrets.ts, whose objects redact themselves.
import { destination, pino, type Logger } from 'pino';

export type { Logger };

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A logger of JSON lines on standard error; standard output belongs to the command's own answer. */
export function createLogger(level: LogLevel): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination(2));
}

/** A logger that drops every line, for tests and one-shot commands. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
