// The flaws of a request body, collected so that one answer names them all.
import type { TLocalizedValidationError } from 'typebox/error';
import { ProblemError, type Flaw } from './problem.ts';

/** Flaws that one answer lists; reading stops there. */
const MAX_FLAWS = 20;

/** Where a value stands in the request. */
export interface Place {
  readonly line?: number;
  readonly pointer: string;
}

export class Flaws {
  readonly #list: Flaw[] = [];
  #code: 'request-invalid' | 'path-forbidden' = 'path-forbidden';

  get count(): number {
    return this.#list.length;
  }

  get empty(): boolean {
    return this.#list.length === 0;
  }

  get full(): boolean {
    return this.#list.length >= MAX_FLAWS;
  }

  /** Returns no events, so that a caller can end with it. */
  add(place: Place, detail: string, code: 'request-invalid' | 'path-forbidden' = 'request-invalid'): [] {
    if (code === 'request-invalid') this.#code = code;
    if (!this.full) this.#list.push({ ...place, pointer: place.pointer.slice(0, 300), detail });
    return [];
  }

  addAll(place: Place, errors: readonly TLocalizedValidationError[]): void {
    for (const error of errors) {
      if (error.keyword === 'additionalProperties') {
        for (const key of error.params.additionalProperties) {
          this.add(
            below(place, `${error.instancePath.slice(1)}/${escapePointer(key)}`),
            'is not a known key',
          );
        }
      } else if (error.keyword === 'required') {
        for (const key of error.params.requiredProperties) {
          this.add(below(place, `${error.instancePath.slice(1)}/${key}`), 'is missing');
        }
      } else if (error.keyword !== 'boolean') {
        this.add(below(place, error.instancePath.slice(1)), error.message);
      }
    }
  }

  /** @throws ProblemError when there are any. */
  refuse(): void {
    if (this.empty) return;
    const first = this.#list[0];
    const where = first?.line === undefined ? '' : `line ${first.line}: `;
    const count = `${this.full ? 'at least ' : ''}${this.count} ${this.count === 1 ? 'flaw' : 'flaws'}`;
    throw new ProblemError(
      this.#code,
      `${count} in the request, nothing was accepted; first: ${where}${first?.pointer === '' ? 'body' : (first?.pointer ?? '')} ${first?.detail ?? ''}`,
      { members: { errors: this.#list } },
    );
  }
}

/** The place of a member: `pointer` is relative to `place`. */
export function below(place: Place, pointer: string): Place {
  const tail = pointer.replace(/^\//, '');
  return tail === '' ? place : { ...place, pointer: `${place.pointer}/${tail}` };
}

/** RFC 6901 section 3. */
export function escapePointer(key: string): string {
  return key.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1');
}
