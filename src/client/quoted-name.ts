// Names that strangers chose (roles, target paths) as one component of a URL or one file name.

/** RFC 3986 percent-encoding of everything but unreserved characters: a slash too, so nothing can climb out. */
export function quoteName(name: string): string {
  return encodeURIComponent(name.toWellFormed()).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** A path with its slashes kept, for a URL. */
export function quotePath(path: string): string {
  return path.split('/').map(quoteName).join('/');
}
