// What every ledger adapter must record of the use of the online key: each sentence about the audit log in
// src/ledger/ledger.ts, as a test.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AuditMark, History, Intent, Ledger, Restoration } from '../../src/ledger/ledger.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { checkedChain, ledgerLines } from '../../src/publish/audit-chain.ts';
import { digests, intent } from '../support/ledger-fixtures.ts';
import { publish, refused } from './ledger.contract.ts';

type AuditedLedger = Ledger & History & Restoration;

export interface AuditedUnderTest {
  readonly ledger: AuditedLedger;
  readonly dispose: () => Promise<void>;
}

export function auditContract(name: string, open: () => Promise<AuditedUnderTest>): void {
  describe(`audit contract: ${name}`, () => {
    let opened: AuditedUnderTest;
    let ledger: AuditedLedger;

    beforeEach(async () => {
      opened = await open();
      ledger = opened.ledger;
    });
    afterEach(() => opened.dispose());

    const records = async (): Promise<Record<string, unknown>[]> =>
      (await ledger.auditLines(0, 100)).map(({ text }) => JSON.parse(text) as Record<string, unknown>);
    const kinds = async (): Promise<unknown[]> => (await records()).map(({ kind }) => kind);
    const lease = (holder: string, now: number): Promise<{ epoch: number }> =>
      ledger.lease({ holder, ttlMs: 100, now });

    async function expectChain(): Promise<void> {
      let count = 0;
      for await (const { line } of checkedChain(ledgerLines(ledger))) count = line.number;
      expect(await ledger.auditHead()).toMatchObject({ number: count });
    }

    test('the commit announces, the end says what was signed, each with the hash of the one before', async () => {
      expect(await ledger.auditHead()).toBeUndefined();
      const planned: Intent = intent(1, {
        bins: [
          { bin: 0, version: 1 },
          { bin: 3, version: 7 },
        ],
        keyids: ['k'],
      });
      const { epoch } = await lease('node', 0);
      const announced = await ledger.advance(epoch, planned);
      expect(announced).toMatchObject({ number: 2, kind: 'announced', snapshot: 1 });
      expect((await records())[1]).toMatchObject({
        at: new Date(planned.at).toISOString(),
        node: 'node',
        epoch,
        snapshot: 1,
        timestamp: 1,
        bins: '0:1,3:7',
        keyids: ['k'],
        bundle: planned.bundle,
      });
      const mark: AuditMark | undefined = await ledger.finish(planned, [], digests(planned), 1_500);
      expect(await ledger.auditHead()).toEqual({ number: 3, hash: mark!.hash });
      const lines = await ledger.auditLines(0, 100);
      expect(lines.map(({ number }) => number)).toEqual([1, 2, 3]);
      expect(lines.map(({ hash }) => hash)).toEqual(lines.map(({ text }) => sha256Hex(text)));
      const { snapshot, timestamp, bins } = digests(planned);
      expect((await records())[2]).toMatchObject({
        at: new Date(1_500).toISOString(),
        previous: announced.hash,
        announced: 2,
        snapshot: { version: 1, ...snapshot },
        timestamp: { version: 1, ...timestamp },
        digests: Buffer.from(bins.join(''), 'hex').toString('base64'),
      });
      await expectChain();
    });

    test('what is refused, and what was settled before, leaves no record', async () => {
      await refused('lease-lost', ledger.advance(9, intent(1)));
      await refused('lease-lost', ledger.announce(9, 'resumed', intent(1), 1));
      expect(await ledger.auditHead()).toBeUndefined();
      await publish(ledger, intent(1));
      const head = await ledger.auditHead();
      expect(await ledger.finish(intent(1), [], digests(intent(1)), 9)).toBeUndefined();
      const { epoch } = await lease('publisher', 0);
      await refused('head-moved', ledger.advance(epoch, intent(3)));
      const bad = { ...digests(intent(2)), snapshot: { sha256: 'short', keyids: [] } };
      await ledger.advance(epoch, intent(2));
      await refused('ledger-invalid', ledger.finish(intent(2), [], bad, 9));
      expect((await ledger.auditHead())?.number).toBe(head!.number + 1);
    });

    test('whoever takes over announces it, and the end names the last announcement', async () => {
      const old = await lease('old', 0);
      await ledger.advance(old.epoch, intent(1));
      const heir = await lease('heir', 1_000);
      const mark = await ledger.announce(heir.epoch, 'resumed', intent(1), 1_000);
      await refused('lease-lost', ledger.announce(old.epoch, 'resumed', intent(1), 1_001));
      await ledger.finish(intent(1), [], digests(intent(1)), 1_002);
      expect(await kinds()).toEqual(['began', 'announced', 'resumed', 'signed']);
      expect((await records())[2]).toMatchObject({ node: 'heir', epoch: heir.epoch, bins: '0:1' });
      expect((await records())[3]).toMatchObject({ announced: mark.number });
      await expectChain();
    });

    test('what is adopted is recorded with what it follows', async () => {
      await publish(ledger, intent(1));
      const adopted = intent(5, { bins: [{ bin: 0, version: 4 }] });
      const { snapshot, timestamp, bins } = digests(adopted);
      const states = [{ bin: 0, version: 4, sha256: bins[0]!, signedAt: 1, expires: 2, keyids: ['k'] }];
      const { epoch } = await lease('publisher', 2_000);
      await ledger.announce(epoch, 'reconciling', adopted, 2_000);
      await ledger.adopt(epoch, { follows: 1, intent: adopted, bins: states, snapshot, timestamp }, 2_001);
      await publish(ledger, intent(6, { at: 6_000 }));
      const [reconciling, adoption] = (await records()).slice(3);
      expect(reconciling).toMatchObject({ kind: 'reconciling', bins: '', timestamp: 5 });
      expect(adoption).toMatchObject({ kind: 'adopted', follows: 1, bins: '0:4', node: 'publisher' });
      expect((await kinds()).slice(5)).toEqual(['announced', 'signed']);
      await expectChain();
    });

    test('pruning takes no record, and lines begin after the number and stop at the limit', async () => {
      for (const snapshot of [1, 2, 3]) await publish(ledger, intent(snapshot));
      await ledger.prune(9e12);
      expect((await ledger.auditLines(0, 100)).length).toBe(7);
      expect((await ledger.auditLines(2, 2)).map(({ number }) => number)).toEqual([3, 4]);
      expect(await ledger.auditLines(7, 10)).toEqual([]);
      await expectChain();
    });

    test('a publication of all 16,384 bins has two records', async () => {
      const bins = Array.from({ length: 16_384 }, (_, bin) => ({ bin, version: 1 }));
      await publish(ledger, intent(1, { bins }));
      const lines = await ledger.auditLines(1, 10);
      expect(lines).toHaveLength(2);
      // Figures of docs/operations.md: what one bin adds.
      const bytes = lines.reduce((sum, { text }) => sum + text.length, 0);
      expect(bytes / bins.length).toBeLessThan(64);
      await expectChain();
    }, 60_000);
  });
}
