// What a mirror can fail with: a part of the catalogue in errors.ts.
import type { ErrorEntry } from './error-entry.ts';

export const MIRROR_ERRORS = {
  'mirror-refused': {
    kind: 'refused',
    meaning:
      'A mirror cannot be made of what was given: the root, the repository and the directory do not fit.',
    remedy: 'Do what the message says; a directory is the mirror of one repository only.',
  },
  'mirror-incomplete': {
    kind: 'refused',
    meaning:
      'Target files that signed metadata names cannot be had in the right form; the mirror stays at what it showed.',
    remedy:
      'Tell the operator of the repository which files; --publish-incomplete goes on without them; the next run asks again.',
  },
  'mirror-locked': {
    kind: 'unavailable',
    meaning: 'Another process works on the same mirror.',
    remedy: 'Wait for it to end, or stop it; its lock goes with the process, nothing has to be removed.',
  },
  'mirror-state-invalid': {
    kind: 'refused',
    meaning: 'The journal of a mirror cannot be read.',
    remedy: 'Remove the file that the message names: what the mirror holds is then verified anew.',
  },
  'upstream-unavailable': {
    kind: 'unavailable',
    meaning: 'The repository that is mirrored does not answer, or breaks off.',
    remedy: 'Check the address and the network; the next run goes on where this one stopped.',
  },
} as const satisfies Record<string, ErrorEntry>;
