// A service that cannot start ends, whatever it has opened by then: whoever watches over it starts it again.
import { expect, test, vi } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { fakeTransit } from '../support/fake-transit.ts';
import { rehearse, runCommand } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Far more than the four attempts of the store's first request take. */
const LONG_MS = 20_000;

test('with the store away, and a login to a key service that is renewed', { timeout: 60_000 }, async () => {
  const directory = await tempDir();
  await rehearse(directory, 16);
  const { address } = await fakeTransit(1);
  const environment = {
    COUNTERSIGN_SIGNER: `vault:transit/online?address=${address}`,
    VAULT_TOKEN: 'hvs.token',
    // Nothing listens there.
    COUNTERSIGN_STORE: 's3://bucket/index?region=eu-central-1&endpoint=http://127.0.0.1:1&path-style=true',
    AWS_ACCESS_KEY_ID: 'x',
    AWS_SECRET_ACCESS_KEY: 'x',
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  const { how, stderr } = await runCommand(directory, ['serve'], systemClock.sleep(LONG_MS));
  vi.unstubAllEnvs();
  expect(stderr).toContain('cannot read s3://bucket/index');
  expect(how).toBe(3);
  // Nothing but what countersign says: the SDK has opinions about versions of Node.js.
  expect(stderr).not.toContain('Warning');
});
