// Every failure that countersign can report, in one closed catalogue. docs/errors.md is generated from it, the
// metric label and the log field are its codes, and tests assert codes. Messages are lower case, without a final
// period, and name the thing and both values: `snapshot version 7 is not greater than 7`.

import type { ErrorEntry, ErrorKind } from './error-entry.ts';
import { MIRROR_ERRORS } from './mirror-errors.ts';

export type { ErrorKind };

export const ERRORS = {
  // --- what a caller sent -------------------------------------------------------------------------------------
  'request-invalid': {
    kind: 'usage',
    meaning: 'A request is malformed: not JSON, an unknown key, a wrong type, a value out of range.',
    remedy: 'Correct the request; the message names the field and what was expected there.',
  },
  'path-forbidden': {
    kind: 'refused',
    meaning:
      'A target path has a form that at least one TUF client cannot read, or that no directory can hold beside another.',
    remedy:
      'Rename the file: ASCII letters, digits and . _ ~ ! @ + - / only, no empty, "." or ".." segments, no folder called as a file.',
  },
  'event-conflict': {
    kind: 'refused',
    meaning: 'An event id was used before for an event with other content.',
    remedy: 'Send the changed event under a new id.',
  },
  'event-unknown': {
    kind: 'refused',
    meaning: 'No event with this id was ever accepted, or it is older than the retention of events.',
    remedy: 'Check the id; send the event again under the same id if in doubt.',
  },
  'target-exists': {
    kind: 'refused',
    meaning: '"add" names a path that is already published with other content.',
    remedy: 'Use "put" to replace a target file deliberately.',
  },
  'target-absent': {
    kind: 'refused',
    meaning: 'The path is not in the current snapshot.',
    remedy: 'Check the path; a "remove" of an absent path changes nothing.',
  },
  'backlog-full': {
    kind: 'unavailable',
    meaning: 'The backlog of accepted events has reached limits.backlog-events.',
    remedy: 'Send the request again after the time in Retry-After.',
  },
  unauthorized: {
    kind: 'refused',
    meaning: 'The request carries no valid bearer token.',
    remedy: 'Send "Authorization: Bearer TOKEN" with a token from the configured tokens file.',
  },
  forbidden: {
    kind: 'refused',
    meaning: 'The token is valid but lacks the scope that this route needs.',
    remedy: 'Use a token with the scope that the message names.',
  },
  'not-found': {
    kind: 'refused',
    meaning: 'There is nothing under this name.',
    remedy: 'Check the address.',
  },
  'method-not-allowed': {
    kind: 'refused',
    meaning: 'The route exists but does not answer this method.',
    remedy: 'Use a method that the Allow header names.',
  },
  'request-too-large': {
    kind: 'refused',
    meaning: 'The body is larger than limits.request-bytes.',
    remedy: 'Send the events in several requests.',
  },
  'unsupported-media-type': {
    kind: 'refused',
    meaning: 'The body is neither application/json nor application/x-ndjson.',
    remedy: 'Set the Content-Type header to one of the two.',
  },
  'changes-expired': {
    kind: 'refused',
    meaning: 'The changes after this snapshot version are no longer kept.',
    remedy: 'Read the current snapshot instead, then follow the changes from its version.',
  },
  'header-too-large': {
    kind: 'refused',
    meaning: 'The request line and headers are larger than the service reads.',
    remedy: 'Send fewer or shorter headers and a shorter address.',
  },
  'request-timeout': {
    kind: 'refused',
    meaning: 'The request did not arrive in time.',
    remedy: 'Send the request again over a faster connection, or in smaller parts.',
  },
  'range-unsatisfiable': {
    kind: 'refused',
    meaning: 'The requested byte range lies outside the file.',
    remedy: 'Ask for a range below the length that Content-Range names.',
  },
  busy: {
    kind: 'unavailable',
    meaning: 'As many requests of this kind are in hand as the service allows at once.',
    remedy: 'Send the request again after the time in Retry-After.',
  },
  unhealthy: {
    kind: 'unavailable',
    meaning:
      'What is published is not fresh, or soon will not be: something keeps the service from publishing.',
    remedy: 'Read the reasons in the answer; each has a code of its own.',
  },
  // --- configuration and start ---------------------------------------------------------------------------------
  usage: {
    kind: 'usage',
    meaning: 'A command was called with wrong arguments.',
    remedy: 'See --help of the command.',
  },
  'config-invalid': {
    kind: 'usage',
    meaning: 'The configuration has an unknown key or a value that does not fit.',
    remedy: 'Correct the key that the message names; docs/configuration.md lists all of them.',
  },
  'secret-unreadable': {
    kind: 'usage',
    meaning: 'A file with a secret is missing, open to other users, or cannot be decrypted.',
    remedy: 'Check the path, the permissions (0600) and the passphrase.',
  },
  'file-exists': {
    kind: 'refused',
    meaning: 'An output file exists already; countersign never overwrites one.',
    remedy: 'Choose another name or move the file away.',
  },
  'file-unwritable': {
    kind: 'usage',
    meaning: 'An output file cannot be written: a full disk, a medium that is write-protected or not there.',
    remedy:
      'Make room, or put the medium in so that it can be written; then repeat the command: nothing is half-written.',
  },
  'not-bootstrapped': {
    kind: 'refused',
    meaning: 'The ledger has no repository yet, or its bootstrap was interrupted.',
    remedy: 'Run "countersign bootstrap BUNDLE" (again, with the same bundle).',
  },
  'manifest-invalid': {
    kind: 'refused',
    meaning: 'A list of files to back-sign cannot be read to its end, or two lists of the same files differ.',
    remedy: 'Make the list again where it was made; nothing of it was signed.',
  },
  'follow-state': {
    kind: 'refused',
    meaning:
      'The state of "countersign follow", or what it is to begin with, belongs to another index or --prefix, or was not published.',
    remedy:
      'Give the state of this index and the --prefix of the first run, or a new file with --state; publish a back-signing with --resume first.',
  },
  'too-many-removals': {
    kind: 'refused',
    meaning:
      'A followed index names far fewer files than before, so it is probably broken; none was removed.',
    remedy: 'Look at the index; when the files really are gone, give a larger --max-removals.',
  },
  'backsign-state': {
    kind: 'refused',
    meaning:
      'The working folder of a back-signing run is missing, damaged, in use, or of another run than the one to go on with.',
    remedy:
      'Run "countersign backsign --resume --state DIR" on the computer that has the folder; docs/operations.md, "Back-signing".',
  },
  'not-empty': {
    kind: 'refused',
    meaning: 'Bootstrap found a ledger or a store that already holds something.',
    remedy: 'Use an empty ledger and an empty store; existing repositories take "countersign import".',
  },
  'key-mismatch': {
    kind: 'refused',
    meaning:
      'The configured signer holds a key that the trusted metadata does not name for the online roles.',
    remedy: 'Configure the signer whose key id the message names, or hold a ceremony for the new key.',
  },
  'bundle-invalid': {
    kind: 'refused',
    meaning: 'A ceremony bundle is malformed or does not verify as a client would verify it.',
    remedy: 'Ask the key holders for a correct bundle; the message names the role and the rule.',
  },
  'bundle-conflict': {
    kind: 'refused',
    meaning:
      'A ceremony bundle does not continue what is published: it is older, forked off, or of another form.',
    remedy:
      'Hold the ceremony again on top of the bundle that was imported last; the message says what differs.',
  },
  'key-overlap-missing': {
    kind: 'refused',
    meaning: 'A bundle drops an online key by which alone something that is public can be verified.',
    remedy:
      'Wait until "countersign status" says that every bin is signed by the new key (or hurry: "countersign renew --all"); with a stolen key import with --compromised.',
  },
  // --- ceremonies ---------------------------------------------------------------------------------------------
  'plan-invalid': {
    kind: 'usage',
    meaning:
      'The plan of a ceremony is malformed: an unknown key, a value that does not fit, a second document.',
    remedy: 'Correct the line that the message names; "countersign-ceremony plan check" reads it again.',
  },
  'plan-refused': {
    kind: 'refused',
    meaning: 'What a ceremony would make breaks a rule that keeps a repository usable and safe.',
    remedy: 'Change the plan as the message says; "countersign-ceremony plan check" lists every finding.',
  },
  'ceremony-file-missing': {
    kind: 'refused',
    meaning: 'A file that this step of a ceremony needs is not in the folder.',
    remedy: 'Run "countersign-ceremony status": it says which step comes next and who takes it.',
  },
  'ceremony-file-invalid': {
    kind: 'refused',
    meaning: "A file in a ceremony's folder is malformed, too large, or not a regular file.",
    remedy: 'Fetch the file again from whoever made it; never repair it by hand.',
  },
  'ceremony-mismatch': {
    kind: 'refused',
    meaning: 'A file belongs to another plan, another payload or another ceremony, or was exchanged.',
    remedy: 'Stop and find out who changed what; if in doubt, abort and begin again in a new folder.',
  },
  'ceremony-incomplete': {
    kind: 'refused',
    meaning: 'Signatures are missing: fewer than the threshold of a role.',
    remedy: 'Run "countersign-ceremony status": it names who has not signed yet.',
  },
  'ceremony-aborted': {
    kind: 'refused',
    meaning: 'The ceremony in this folder was aborted; nothing in it is used any more.',
    remedy: 'Read the reason in the file ABORTED; begin a new ceremony in a new folder.',
  },
  'code-wrong': {
    kind: 'refused',
    meaning: 'The code that was read out does not belong to the payload on this computer.',
    remedy: 'Do not sign: compare the whole word phrase and the SHA-256 on both computers first.',
  },
  interrupted: {
    kind: 'refused',
    meaning: 'A person ended the program at a question, or the terminal closed.',
    remedy: 'Run the command again: what was written is whole, and nothing was left half-written.',
  },
  'answer-wrong': {
    kind: 'refused',
    meaning: 'Three answers in a row did not fit a question.',
    remedy: 'Take a break, look up the answer, and run the command again; nothing was written.',
  },
  'passphrase-weak': {
    kind: 'refused',
    meaning: 'A new passphrase would not protect a key file that somebody copies.',
    remedy: 'Let the program make one of ten words, or choose a longer one of unrelated words.',
  },
  'self-check-failed': {
    kind: 'refused',
    meaning: 'The computer is not in the state in which keys may be touched.',
    remedy: 'Mend what the message names, or give a reason with --accept CHECK=REASON; it goes on record.',
  },
  'share-invalid': {
    kind: 'refused',
    meaning: 'A share of a paper backup was misread, or belongs to another key.',
    remedy: 'Compare the share with its page, letter by letter; the message says what does not fit.',
  },
  // --- metadata -----------------------------------------------------------------------------------------------
  'metadata-invalid': {
    kind: 'refused',
    meaning: 'A metadata file breaks a rule of the TUF specification or of docs/storage-layout.md.',
    remedy: 'Run "countersign fsck" to see every violated rule.',
  },
  'page-invalid': {
    kind: 'refused',
    meaning: 'A page of a simple index is malformed, or larger than countersign reads.',
    remedy: 'Correct the index; the message names the page and the place.',
  },
  'target-unsigned': {
    kind: 'refused',
    meaning: 'An index names a file that no signed snapshot knows (yet).',
    remedy: 'Wait for the next snapshot when the file is new; otherwise treat the index as altered.',
  },
  'metadata-too-large': {
    kind: 'refused',
    meaning: 'A metadata file is larger than the limit for its role.',
    remedy: 'Raise the bin count or refuse the repository: clients stop at the same limit.',
  },
  'metadata-missing': {
    kind: 'refused',
    meaning: 'A metadata file that a verified file names is not in the store.',
    remedy: 'Restore the object from a backup or a mirror; its name is in the message.',
  },
  'metadata-expired': {
    kind: 'refused',
    meaning: 'A role has expired.',
    remedy: 'Check the clock; then renew the role (online roles renew themselves while the service runs).',
  },
  'signature-invalid': {
    kind: 'refused',
    meaning: 'Fewer valid signatures than the threshold of the role.',
    remedy: 'Treat the file as altered: restore it, and find out who can write to the store.',
  },
  'version-rollback': {
    kind: 'refused',
    meaning: 'A role has a lower version than one already trusted.',
    remedy: 'Treat the repository or mirror as rolled back; refresh from another source.',
  },
  'update-failed': {
    kind: 'refused',
    meaning:
      'A client could not finish an update: the repository or the local directory could not be read or written.',
    remedy: 'Try again, or with another mirror; what was trusted before stays trusted.',
  },
  'too-many-delegations': {
    kind: 'refused',
    meaning: 'A target path was not found within the number of delegated roles that a client asks.',
    remedy: 'Ask the repository to delegate more directly; 32 roles are the limit of all clients.',
  },
  'length-or-hash-mismatch': {
    kind: 'refused',
    meaning: 'A file does not have the length or the hash that signed metadata gives.',
    remedy: 'Treat the file as altered; fetch it again from the index itself.',
  },
  // --- publication --------------------------------------------------------------------------------------------
  'bin-altered': {
    kind: 'refused',
    meaning: 'A bin in the store is not what was published; it is never re-signed, its events wait.',
    remedy:
      'Restore the object that the message names, byte for byte; publication of the bin then goes on by itself.',
  },
  'head-moved': {
    kind: 'unavailable',
    meaning: 'Another publisher committed this version first.',
    remedy: 'Nothing: this process steps back and stands by.',
  },
  'lease-lost': {
    kind: 'unavailable',
    meaning: 'Another process holds the publisher lease.',
    remedy: 'Nothing: this process stands by and takes over when the lease ends.',
  },
  'immutable-conflict': {
    kind: 'internal',
    meaning: 'A write-once name exists in the store with other content than the one committed.',
    remedy: 'Find out who wrote the object; publication stays stopped until it is removed or restored.',
  },
  'timestamp-conflict': {
    kind: 'internal',
    meaning: 'timestamp.json in the store is not the one that the ledger says was published.',
    remedy: 'Find out who wrote it; run "countersign fsck", restore the file, start the service again.',
  },
  'clock-backwards': {
    kind: 'unavailable',
    meaning: 'The clock is behind the time of the last publication.',
    remedy:
      'Correct the clock; publication goes on by itself. If the earlier time was wrong, wait or restore.',
  },
  'event-superseded': {
    kind: 'refused',
    meaning:
      'An older ledger was restored, and what the store shows by now contradicts an event that the ledger still held.',
    remedy:
      'Look at what is published; send the event again under a new id if it should still be carried out.',
  },
  'audit-broken': {
    kind: 'refused',
    meaning: 'The log of uses of the online key was changed, or is not the one that it is compared with.',
    remedy:
      'Compare the record that the message names with the log lines of the service and with earlier exports; docs/operations.md, "Audit".',
  },
  'reconcile-refused': {
    kind: 'refused',
    meaning:
      'A restored ledger cannot be moved to what its store shows, or not to what was looked at before.',
    remedy:
      'Run "countersign reconcile" again and read what it finds; docs/operations.md, "Backup and restore".',
  },
  'copy-refused': {
    kind: 'refused',
    meaning:
      'A store cannot be copied: its service runs, or the destination holds something else or something newer.',
    remedy:
      'Do what the message says; copy into an empty place if the destination is not a copy of this repository.',
  },
  'signer-invalid': {
    kind: 'internal',
    meaning: 'The signer answered with a signature that does not verify under its own public key.',
    remedy: 'Check the signer; nothing was written with that signature.',
  },
  // --- ceremonies ---------------------------------------------------------------------------------------------
  'transcript-invalid': {
    kind: 'refused',
    meaning: "A ceremony's transcript is malformed, or was changed after it was written.",
    remedy: 'Compare it with the copies of the other computers; go on with a copy whose chain is whole.',
  },
  'transcript-locked': {
    kind: 'unavailable',
    meaning: "Another process is writing to the ceremony's transcript.",
    remedy: 'Wait for it to end; when nothing runs any more, remove the lock file that the message names.',
  },
  ...MIRROR_ERRORS,
  // --- the other side -----------------------------------------------------------------------------------------
  'ledger-unavailable': {
    kind: 'unavailable',
    meaning: 'The ledger cannot be reached or written.',
    remedy: 'Check disk space, permissions and the database; the request was not accepted, send it again.',
  },
  'ledger-invalid': {
    kind: 'internal',
    meaning: 'The ledger holds something that this version of countersign cannot read.',
    remedy: 'Check that the ledger belongs to this installation and was not written by a newer version.',
  },
  'store-unavailable': {
    kind: 'unavailable',
    meaning: 'The object store cannot be reached, read or written.',
    remedy: 'Check disk space, permissions and the network; publication goes on by itself afterwards.',
  },
  'store-conflict': {
    kind: 'unavailable',
    meaning: 'A compare-and-swap found another version of the object than the expected one.',
    remedy: 'Nothing: the caller reads the object again and decides.',
  },
  'store-unsuitable': {
    kind: 'refused',
    meaning: 'The object store does not keep the promises that safe publication rests on.',
    remedy:
      'Use a store with conditional writes (If-None-Match and If-Match), or grant the permission that the message names; docs/operations.md, "Object storage".',
  },
  'signer-unavailable': {
    kind: 'unavailable',
    meaning: 'The signer cannot be reached or refuses to sign.',
    remedy: 'Check the key service; publication goes on by itself afterwards.',
  },
  'service-unavailable': {
    kind: 'unavailable',
    meaning: 'The countersign service does not answer, or is shutting down.',
    remedy: 'Check that "countersign serve" runs at the address in the message, then try again.',
  },
  'demo-failed': {
    kind: 'refused',
    meaning: 'A step of "countersign demo" did not turn out as it says, or the demo was interrupted.',
    remedy: 'Read the message and the files in the directory that it names, then run the demo again.',
  },
  internal: {
    kind: 'internal',
    meaning: 'A fault inside countersign.',
    remedy: 'Report it with the log line that has the same request id.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Plain facts that go with an error into the log and the problem document; never a secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/** The one error class. `code` says what happened, `message` says to which thing and with which values. */
export class CountersignError extends Error {
  override readonly name: string = 'CountersignError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get kind(): ErrorKind {
    return ERRORS[this.code].kind;
  }
}

/** State is not what the ledger says it must be: publication stops until a person has looked. */
export class FatalError extends CountersignError {
  override readonly name = 'FatalError';
}

/** True when `error` is a CountersignError with one of `codes`. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is CountersignError {
  return error instanceof CountersignError && codes.includes(error.code);
}

/** The message of anything that was thrown, for a log line or a `cause`. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
