// The SDK's client as this store wants it: credentials from the standard chain (environment, files, role) and nowhere
// else, one attempt for each call (s3-retry.ts repeats them), a bounded pool of connections that are kept alive.
import { S3Client } from '@aws-sdk/client-s3';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { S3Limits } from './s3-limits.ts';
import type { S3Location } from './s3-location.ts';

/** What servers other than Amazon's call the region that they do not have. */
const ANY_REGION = 'us-east-1';

/** @throws CountersignError `config-invalid` when no region is set anywhere. */
export async function createS3Client(location: S3Location, limits: S3Limits): Promise<S3Client> {
  const { endpoint, pathStyle } = location;
  const region = location.region ?? (endpoint === undefined ? undefined : ANY_REGION);
  const agent = { keepAlive: true, maxSockets: limits.connections };
  const client = new S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: pathStyle,
    maxAttempts: 1,
    // CRC32 of what is sent, and of what comes back where the server has kept one; other servers ignore both.
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_SUPPORTED',
    // A round trip saved: objects are small, and a proxy that does not know the header would cost seconds.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: limits.connectMs,
      requestTimeout: limits.attemptMs,
      ...(limits.silenceMs === undefined ? {} : { socketTimeout: limits.silenceMs }),
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
  try {
    await client.config.region();
  } catch (error) {
    client.destroy();
    throw new CountersignError(
      'config-invalid',
      `store s3://${location.bucket} has no region: add ?region=REGION or set AWS_REGION (${messageOf(error)})`,
    );
  }
  return client;
}
