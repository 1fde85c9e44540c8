// Where an S3 store is: what `store: s3://…` says (src/config/backends.ts reads it). No credentials: those come from the
// standard chain only.

export interface S3Location {
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
  /** Absent: the standard chain's (AWS_REGION, the profile). */
  readonly region?: string;
  /** An http or https origin; absent: that of the region. */
  readonly endpoint?: string;
  /** True: https://host/bucket/key. False: https://bucket.host/key. */
  readonly pathStyle: boolean;
}

/** `s3://bucket/prefix/key`, for messages. */
export function s3Uri(location: Pick<S3Location, 'bucket'>, key: string): string {
  return `s3://${location.bucket}/${key}`;
}
