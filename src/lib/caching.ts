// How long a copy of a repository file may be used: the same words wherever the file is served from.

/** Write-once names: a copy is right for ever, and a year is the longest that HTTP caches honour. */
export const IMMUTABLE_CACHING = 'public, max-age=31536000, immutable';

/** For timestamp.json, in seconds; a client that is behind by this much is still far inside the day that it lives. */
export const TIMESTAMP_CACHING = 'public, max-age=2, must-revalidate';
