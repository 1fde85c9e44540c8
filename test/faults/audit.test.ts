// The log of uses of the online key against whoever has the key, the ledger or the power switch: a signature that was
// not announced is found, and so is a record that is gone, was changed, or stands elsewhere.
import Database from 'libsql';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exportAudit } from '../../src/cli/audit-export.ts';
import type { AuditLine } from '../../src/ledger/ledger.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { checkedChain, ledgerLines } from '../../src/publish/audit-chain.ts';
import { verifyAudit, type AuditReport } from '../../src/publish/audit-verify.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { versionedName } from '../../src/tuf/layout.ts';
import { FaultyProcess, FAULTS } from '../support/faulty-ports.ts';
import { Forger } from '../support/forger.ts';
import { expectSound } from '../support/oracle.ts';
import {
  accept,
  foundRepository,
  publishAll,
  publishPaths,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';

async function published(options: { algorithm?: 'ecdsa-p256' } = {}): Promise<TestRepository> {
  const repository = await foundRepository({ bins: 4, ...options });
  await publishPaths(repository, ['a/1', 'b/2', 'c/3']);
  repository.clock.advance(60_000);
  await publishPaths(repository, ['d/4']);
  return repository;
}

function verify({ ledger, store }: Pick<TestRepository, 'ledger' | 'store'>): Promise<AuditReport> {
  return verifyAudit(ledgerLines(ledger), store);
}

async function linesOf({ ledger }: Pick<TestRepository, 'ledger'>): Promise<AuditLine[]> {
  return ledger.auditLines(0, 1_000);
}

async function kindsOf(repository: Pick<TestRepository, 'ledger'>): Promise<string[]> {
  return (await linesOf(repository)).map(({ text }) => (JSON.parse(text) as { kind: string }).kind);
}

async function* given(lines: readonly AuditLine[]): AsyncGenerator<AuditLine> {
  await Promise.resolve();
  yield* lines;
}

async function brokenAt(lines: readonly AuditLine[]): Promise<string> {
  try {
    for await (const { line } of checkedChain(given(lines))) expect(line).toBeDefined();
  } catch (error) {
    expect(error).toMatchObject({ code: 'audit-broken' });
    return (error as Error).message;
  }
  throw new Error('the chain holds');
}

/** Rewritten with a hash that fits, as somebody with the ledger would. */
function forged(line: AuditLine, change: (record: Record<string, unknown>) => void): AuditLine {
  const record = JSON.parse(line.text) as Record<string, unknown>;
  change(record);
  const text = JSON.stringify(record);
  return { ...line, text, hash: sha256Hex(text) };
}

describe('a log', () => {
  test.each([{}, { algorithm: 'ecdsa-p256' as const }])(
    'accounts for every signature: %j',
    async (options) => {
      const repository = await published(options);
      expect(await kindsOf(repository)).toEqual([
        'began',
        ...Array.from({ length: 3 }, () => ['announced', 'signed']).flat(),
      ]);
      const [began, first] = (await linesOf(repository)).map(({ text }) => JSON.parse(text) as unknown);
      expect(began).toMatchObject({ number: 1, kind: 'began', after: 0, previous: sha256Hex('') });
      expect(first).toMatchObject({
        node: 'test:1:1',
        epoch: 1,
        snapshot: 1,
        bins: '0:1,1:1,2:1,3:1',
        events: 0,
      });
      const report = await verify(repository);
      expect(report).toMatchObject({ problems: [], pending: 0, uncovered: 0, records: 7 });
      expect(report.head).toBe((await repository.ledger.auditHead())?.hash);
      // Three snapshots, the timestamp, four bins and those that were edited.
      const bins = repository.store.names().filter((name) => name.includes('.bin-')).length;
      expect(report.accounted).toBe(3 + 1 + bins);
      await expectSound(repository);
    },
  );

  test('stays whole after garbage was collected', async () => {
    const repository = await published();
    const { ledger, store, clock } = repository;
    clock.advance(3_600_000);
    await publishPaths(repository, ['e/5']);
    clock.advance(60_000);
    const before = store.names().length;
    await collectGarbage({ clock, snapshotsMs: 1, eventsMs: 1, history: ledger, store });
    expect(store.names().length).toBeLessThan(before);
    expect(await kindsOf(repository)).toHaveLength(9);
    expect((await verify(repository)).problems).toEqual([]);
  });

  test('of a ledger from before there was one says what it does not cover', async () => {
    const directory = await tempDir();
    const file = join(directory, 'ledger.db');
    const repository = await foundRepository({ bins: 4, ledgerPath: file });
    await publishPaths(repository, ['a/1']);
    await repository.ledger.close();
    const database = new Database(file);
    database.exec('DROP TABLE audit; DROP TABLE shares; PRAGMA user_version = 2');
    database.close();
    const ledger = await openSqliteLedger(file);
    const now = { ...repository, ledger, ports: { ...repository.ports, ledger, history: ledger } };
    await publishPaths(now, ['b/2', 'c/3']);
    const report = await verify(now);
    expect(report).toMatchObject({ problems: [], uncoveredSnapshots: [1, 2] });
    expect(report.uncovered).toBeGreaterThan(2);
    // What was never published is not covered by that.
    const forger = new Forger(now);
    const layoutName = now.layout.name(0);
    const signed = JSON.parse((await forger.bytes(versionedName(layoutName, 1))).toString()) as {
      signed: never;
    };
    await forger.write(versionedName(layoutName, 9), signed.signed);
    expect((await verify(now)).problems).toMatchObject([{ kind: 'unaccounted' }]);
    await ledger.close();
  });
});

describe('whoever has the online key', () => {
  test('is found with a bin in the place of one, or ahead of all', async () => {
    const repository = await published();
    const forger = new Forger(repository);
    const name = versionedName(repository.layout.name(0), 1);
    await forger.edit(name, (signed: { targets: object }) => {
      signed.targets = { 'evil/1': targetOf('evil') };
    });
    const ahead = versionedName(repository.layout.name(1), 77);
    const { signed } = JSON.parse((await forger.bytes(name)).toString()) as { signed: never };
    await forger.write(ahead, signed);
    const strange = 'metadata/elsewhere.json';
    await forger.write(strange, signed);
    const { problems } = await verify(repository);
    expect(problems).toMatchObject(
      [name, ahead, strange].sort().map((each) => ({
        kind: 'unaccounted',
        name: each,
        keyids: [repository.signer.keyid],
      })),
    );
    expect(problems.map(({ message }) => message).join()).toContain(repository.signer.keyid);
  });

  test('is found with a timestamp of his own', async () => {
    const repository = await published();
    await new Forger(repository).edit('metadata/timestamp.json', (signed: { version: number }) => {
      signed.version += 1;
    });
    expect((await verify(repository)).problems).toMatchObject([
      { kind: 'unaccounted', name: 'metadata/timestamp.json' },
    ]);
  });

  test('is found with a timestamp that names a snapshot which only he has', async () => {
    const repository = await published();
    const change = (signed: { version: number; meta: { 'snapshot.json': { version: number } } }): void => {
      signed.version = signed.meta['snapshot.json'].version = 2_000_000_000;
    };
    await new Forger(repository).edit('metadata/timestamp.json', change);
    const { problems, accounted } = await verify(repository);
    expect(problems).toMatchObject([
      { kind: 'unaccounted', name: 'metadata/timestamp.json', keyids: [repository.signer.keyid] },
    ]);
    expect(accounted).toBeGreaterThan(5);
  });

  test('and who has not is told apart; a file that is gone is missed', async () => {
    const repository = await published();
    const [altered, gone] = [0, 1].map((bin) => versionedName(repository.layout.name(bin), 1));
    await new Forger(repository).replaceText(altered!, '"targets":{', '"targets":{ ');
    await repository.store.remove(gone!);
    expect((await verify(repository)).problems).toMatchObject([
      { kind: 'altered', name: altered, keyids: [] },
      { kind: 'missing', name: gone },
    ]);
  });
});

describe('whoever has the ledger', () => {
  test('is found by the record that he takes out, changes or moves', async () => {
    const lines = await linesOf(await published());
    const without = lines.toSpliced(3, 1);
    expect(await brokenAt(without)).toContain('record 5 follows record 3');
    const swapped = lines.toSpliced(3, 2, lines[4]!, lines[3]!);
    expect(await brokenAt(swapped)).toContain('record 5 follows record 3');
    const changed = lines.with(2, { ...lines[2]!, text: lines[2]!.text.replace('"signed"', '"signal"') });
    expect(await brokenAt(changed)).toContain(lines[2]!.hash);
    const rewritten = lines.with(
      2,
      forged(lines[2]!, (record) => (record['keyids'] = ['other'])),
    );
    expect(await brokenAt(rewritten)).toContain(`record 3 has ${rewritten[2]!.hash}`);
    expect(await brokenAt(rewritten)).toContain(lines[2]!.hash);
    const last = lines.at(-1)!;
    const unannounced = lines.with(
      -1,
      forged(last, (record) => (record['bins'] = '0:9')),
    );
    expect(await brokenAt(unannounced)).toContain('did not announce it');
    expect(await brokenAt(lines.slice(1))).toContain('record 2 follows record 0');
  });
});

describe('whoever has the power switch', () => {
  test.each([undefined, 'ecdsa-p256' as const])(
    'finds the use announced, and accounted for in the end: %s',
    async (algorithm) => {
      for (const write of ['advance', 'putImmutable', 'replace', 'finish'] as const) {
        for (const nth of write === 'putImmutable' ? [1, 2, 3] : [1]) {
          for (const fault of FAULTS) {
            const repository = await foundRepository({
              bins: 4,
              ...(algorithm === undefined ? {} : { algorithm }),
            });
            await accept(
              repository,
              ['a/1', 'b/2', 'c/3'].map((path) => ({ op: 'add', path, target: targetOf(path) })),
            );
            const process = new FaultyProcess({ write, nth, fault });
            const ledger = process.ledger(repository.ledger);
            const ports = {
              ...repository.ports,
              ledger,
              history: ledger,
              store: process.store(repository.store),
            };
            await expect(publishAll({ ports })).rejects.toThrow();
            const where = `${write} ${nth} ${fault}`;
            const interrupted = await verify(repository);
            expect(interrupted.problems, where).toEqual([]);
            const settled = write === 'finish' && fault !== 'fails';
            const announced = !(write === 'advance' && fault === 'fails');
            expect((await kindsOf(repository)).at(-1), where).toBe(
              announced && !settled ? 'announced' : 'signed',
            );
            const heir = { ...repository.ports, holder: 'heir:1:1', isGone: () => true };
            await publishAll({ ports: heir });
            const kinds = (await kindsOf(repository)).slice(3);
            const resumed = announced && !settled;
            expect(kinds, where).toEqual(['announced', ...(resumed ? ['resumed'] : []), 'signed']);
            if (resumed) expect((await linesOf(repository)).at(-2)?.text).toContain('"node":"heir:1:1"');
            expect(await verify(repository), where).toMatchObject({ problems: [], pending: 0, uncovered: 0 });
            await expectSound(repository);
          }
        }
      }
    },
  );
});

describe('an export', () => {
  test('goes on wherever an earlier one was interrupted', async () => {
    const { ledger } = await published();
    const file = join(await tempDir(), 'audit.ndjson');
    await exportAudit(ledger, file, 0);
    const whole = await readFile(file);
    const second = whole.indexOf('\n') + 1;
    for (const length of [1, second - 1, second, second + 1, whole.length - 1, whole.length]) {
      await writeFile(file, whole.subarray(0, length));
      await exportAudit(ledger, file, 0);
      expect(await readFile(file), `${length} bytes`).toEqual(whole);
    }
  });

  test('is made by one process at a time: a second one would write every record twice', async () => {
    const { ledger } = await published();
    const file = join(await tempDir(), 'audit.ndjson');
    const both = await Promise.allSettled([exportAudit(ledger, file, 0), exportAudit(ledger, file, 0)]);
    const [refused] = both.filter((each) => each.status === 'rejected');
    expect(refused?.reason).toMatchObject({
      code: 'usage',
      message: `--to ${file} cannot be written: another process is writing to it; wait for its end`,
    });
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(new Set(lines).size).toBe(lines.length);
    expect(await exportAudit(ledger, file, 0)).toMatchObject({ written: 0, last: lines.length });
  });

  test.each([
    ['has no line end at all', '{"some":"settings of another program"}'],
    ['does not end with a line end', 'notes\nthat somebody made'],
    ['is no log', 'notes\n'],
    ['begins as the log does', '{"after":0,"at":"2031'],
  ])('never touches a file that %s', async (_, content) => {
    const { ledger } = await published();
    const file = join(await tempDir(), 'notes');
    await writeFile(file, content);
    await expect(exportAudit(ledger, file, 0)).rejects.toMatchObject({ code: 'audit-broken' });
    expect(await readFile(file, 'utf8')).toBe(content);
  });
});
