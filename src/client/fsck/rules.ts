// The rules that fsck holds a repository to: one entry each, with its source. `countersign fsck --rules` prints them.

export interface FsckRule {
  /** Where the rule comes from. */
  readonly source: string;
  /** What must hold, one sentence. */
  readonly meaning: string;
}

export const FSCK_RULES = {
  'interop-1': {
    source: 'tuf-js reorders integer-like keys',
    meaning: 'Role names start with a lower-case letter and hold only letters, digits and hyphens.',
  },
  'interop-2': {
    source: 'python-tuf, go-tuf, tough',
    meaning: 'Every expires is an existing date of the form YYYY-MM-DDTHH:MM:SSZ.',
  },
  'interop-3': {
    source: 'TUF 4.2; tuf-js, tough, python-tuf',
    meaning:
      'Keys are Ed25519, ECDSA P-256 or RSA-PSS, stand under the SHA-256 of their canonical form, and neither keys, ' +
      'roles nor delegations have further fields.',
  },
  'interop-4': {
    source: 'go-tuf, tuf-js',
    meaning: 'A target file has exactly one hash, sha256.',
  },
  'interop-5': {
    source: 'every client',
    meaning: 'Target paths hold only A-Z a-z 0-9 . _ ~ ! @ + - / and no segment that a client misreads.',
  },
  'interop-6': {
    source: 'TUF 4.5; every client',
    meaning: 'Delegation patterns are literal segments and *, and reach every target path.',
  },
  'interop-7': {
    source: 'TUF 4.4, 4.6; limits of clients',
    meaning:
      'Snapshot lists versions only; timestamp lists version, length and sha256 of the snapshot alone.',
  },
  'interop-8': {
    source: 'TUF 4.4',
    meaning: 'A version identifies its bytes: a root that somebody trusts is the root of that version.',
  },
  'interop-9': {
    source: 'TUF 5.3',
    meaning: 'Every root is there, from version 1 to the newest.',
  },
  'interop-10': {
    source: 'TUF 6.2; python-tuf, tuf-js, go-tuf',
    meaning: 'A target file in the store is named dir/HASH.file.',
  },
  'interop-11': {
    source: 'python-tuf, tuf-js',
    meaning: 'A role is delegated to once; its name is not that of a top-level role.',
  },
  'interop-12': {
    source: 'TUF 5.5.5',
    meaning: 'No role leaves the snapshot before its key was exchanged: bins of former layouts stay listed.',
  },
  'former-bins': {
    source: 'docs/storage-layout.md',
    meaning: 'Bins of a layout that another one has replaced keep the version that they had.',
  },
  'interop-13': {
    source: 'go-tuf; RFC 8259',
    meaning:
      'Files are one JSON document without repeated keys, integers are below 2^53, lengths are at least 1, and root ' +
      'says consistent_snapshot.',
  },
  'interop-14': {
    source: 'TUF 4.2.1',
    meaning: 'A file is its canonical signed part and its signatures, byte for byte.',
  },
  'interop-15': {
    source: 'limits of python-tuf, tuf-js, go-tuf, tough',
    meaning: 'Files are small enough for every client, and there are at most 256 roots.',
  },
  'interop-16': {
    source: 'JavaScript clients',
    meaning: 'No key in custom data is __proto__.',
  },
  'tuf-4': { source: 'TUF 4', meaning: 'A file has the fields of its role, each of the right type.' },
  'tuf-4.2.1': {
    source: 'TUF 4.2.1',
    meaning: 'A file is a signed part and signatures, at most one of each key.',
  },
  'tuf-5.3.4': {
    source: 'TUF 5.3.4',
    meaning: 'A root is signed by the threshold of its predecessor and by its own.',
  },
  'tuf-5.3.5': { source: 'TUF 5.3.5', meaning: 'The file N.root.json holds version N.' },
  'tuf-5.3.10': { source: 'TUF 5.3.10', meaning: 'The newest root has not expired.' },
  'tuf-5.4.1': { source: 'TUF 5.4.1', meaning: 'There is a timestamp.' },
  'tuf-5.4.2': { source: 'TUF 5.4.2', meaning: 'Timestamp is signed by the threshold that root sets.' },
  'tuf-5.4.4': { source: 'TUF 5.4.4', meaning: 'Timestamp has not expired.' },
  'tuf-5.5.1': { source: 'TUF 5.5.1', meaning: 'The snapshot that timestamp names is there.' },
  'tuf-5.5.2': { source: 'TUF 5.5.2', meaning: 'The snapshot has the length and hash that timestamp gives.' },
  'tuf-5.5.3': { source: 'TUF 5.5.3', meaning: 'Snapshot is signed by the threshold that root sets.' },
  'tuf-5.5.4': { source: 'TUF 5.5.4', meaning: 'The snapshot has the version that names it.' },
  'tuf-5.5.5': { source: 'TUF 5.5.5', meaning: 'From one snapshot to the next no version goes back.' },
  'tuf-5.5.6': { source: 'TUF 5.5.6', meaning: 'The current snapshot has not expired.' },
  'tuf-5.6.1': { source: 'TUF 5.6.1', meaning: 'Every role that the current snapshot names is there.' },
  'tuf-5.6.3': {
    source: 'TUF 5.6.3',
    meaning: 'Targets, bins and every bin are signed by the threshold that their delegator sets.',
  },
  'tuf-5.6.4': { source: 'TUF 5.6.4', meaning: 'Targets, bins and every bin have the version of snapshot.' },
  'tuf-5.6.5': { source: 'TUF 5.6.5', meaning: 'Targets, bins and every bin have not expired.' },
  'tuf-5.6.7': { source: 'TUF 5.6.7, TAP 15', meaning: 'Every target path is in the bin it hashes to.' },
  'pep458-roles': {
    source: 'PEP 458 "PyPI and TUF roles"',
    meaning: 'Targets delegates to bins only, bins to every bin with the same keys, and the bins to nobody.',
  },
  'pep458-keys': {
    source: 'PEP 458 "Key management"',
    meaning: 'No key of an online role is a key of root, targets or bins.',
  },
  'storage-unknown-name': {
    source: 'docs/storage-layout.md',
    meaning: 'Every object below metadata/ is one of the repository.',
  },
  'storage-ahead': {
    source: 'docs/storage-layout.md',
    meaning: 'Objects are at most one publication ahead of timestamp: the one that is being made.',
  },
  'storage-gap': {
    source: 'docs/storage-layout.md',
    meaning: 'Between the oldest snapshot in the store and the current one none is missing.',
  },
  'storage-retained': {
    source: 'PEP 458 "Producing consistent snapshots"',
    meaning: 'Everything that an older snapshot in the store names is there too.',
  },
  'simple-object': {
    source: 'docs/adr/0023; PEP 458 "Producing consistent snapshots"',
    meaning: 'Every simple index page that a bin names is in the store, with its hash.',
  },
  'simple-files': {
    source: 'docs/adr/0023; PEP 503, PEP 691',
    meaning:
      'The page of a project lists exactly the files that the bins know, with their hashes and lengths.',
  },
  'ledger-head': {
    source: 'docs/storage-layout.md',
    meaning: 'Ledger and store are at the same publication.',
  },
  'ledger-bins': {
    source: 'docs/storage-layout.md',
    meaning: 'The ledger knows every bin in the version and with the expiry that is published.',
  },
} as const satisfies Readonly<Record<string, FsckRule>>;

export type FsckRuleId = keyof typeof FSCK_RULES;
