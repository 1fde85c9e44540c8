// A body that comes in chunks, whole: never more of it in memory than somebody allowed (endless data attack).

/** All chunks as one. @throws what `tooLong` makes, at the first chunk that leads beyond `maxBytes`. */
export async function wholeBody(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tooLong: () => Error,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
