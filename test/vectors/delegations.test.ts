import { describe, expect, test } from 'vitest';
import { binsTrust, binTrust, checkBinsReach } from '../../src/tuf/delegations.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import type { DelegatedRole, Targets } from '../../src/tuf/metadata.ts';
import { parseBins } from '../../src/tuf/parse-targets.ts';
import { genesisRepository } from '../support/genesis-repository.ts';

function withRoles(bins: Targets, change: (roles: DelegatedRole[]) => DelegatedRole[]): Targets {
  const { keys, roles = [] } = bins.delegations!;
  return { ...bins, delegations: { keys, roles: change([...roles]) } };
}

describe('the prefixes form', () => {
  test('16,384 delegations are read in linear time and recognised as one layout', async () => {
    const { bundle } = await genesisRepository(16_384, 'prefixes');
    const bytes = envelopeFile(bundle.bins);
    expect(bytes.length).toBeGreaterThan(2_900_000);
    expect(bytes.length).toBeLessThan(5_000_000);
    const { layout, format } = binTrust(parseBins(bytes).signed);
    expect([layout.count, format]).toEqual([16_384, 'prefixes']);
  });

  test.each<[string, (roles: DelegatedRole[]) => DelegatedRole[], string]>([
    ['a bin is missing', (roles) => roles.slice(1), 'power of two'],
    ['half of them are missing', (roles) => roles.slice(0, 4), 'not the hash prefixes'],
    ['two are exchanged', ([a, b, ...rest]) => [b!, a!, ...rest], 'bin-1 at 0, expected bin-0'],
    [
      'one has the prefixes of another',
      ([a, ...rest]) => [{ ...a!, path_hash_prefixes: ['2', '3'] }, ...rest],
      'not the hash prefixes',
    ],
    ['one has paths', ([a, ...rest]) => [{ ...a!, path_hash_prefixes: [] }, ...rest], 'not the hash prefixes'],
    ['one is not terminating', ([a, ...rest]) => [{ ...a!, terminating: false }, ...rest], 'terminating'],
    ['one has other keys', ([a, ...rest]) => [a!, { ...rest[0]!, keyids: [] }, ...rest.slice(1)], 'other keys'],
  ])('is refused when %s', async (_what, change, message) => {
    const { bundle } = await genesisRepository(8, 'prefixes');
    const altered = withRoles(bundle.bins.signed, change);
    expect(() => binTrust(altered)).toThrow(message);
  });
});

describe('targets', () => {
  test('delegates to bins and to nothing else', async () => {
    const { bundle } = await genesisRepository();
    const targets = bundle.targets.signed;
    expect(binsTrust(targets).threshold).toBe(2);
    expect(() => binsTrust(withRoles(targets, ([bins]) => [{ ...bins!, name: 'other' }]))).toThrow('bins');
    expect(() => binsTrust(withRoles(targets, ([bins]) => [bins!, { ...bins!, name: 'x' }]))).toThrow('exactly one');
    expect(() => binsTrust(withRoles(targets, () => []))).toThrow('exactly one');
  });

  test('reaches every path', async () => {
    const { bundle } = await genesisRepository();
    const targets = bundle.targets.signed;
    checkBinsReach(targets);
    const paths = ['*', '*/*/*'];
    expect(() => {
      checkBinsReach(withRoles(targets, ([bins]) => [{ ...bins!, paths }]));
    }).toThrow('the paths */* to bins');
    const path_hash_prefixes = Array.from({ length: 16 }, (_, digit) => digit.toString(16));
    const byPrefix = (prefixes: string[]): Targets =>
      withRoles(targets, ([bins]) => [
        {
          name: bins!.name,
          keyids: bins!.keyids,
          threshold: 2,
          terminating: true,
          path_hash_prefixes: prefixes,
        },
      ]);
    checkBinsReach(byPrefix(path_hash_prefixes));
    expect(() => {
      checkBinsReach(byPrefix(path_hash_prefixes.slice(1)));
    }).toThrow('does not delegate');
  });
});
