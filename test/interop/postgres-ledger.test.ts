// The PostgreSQL ledger on a real server: the contract, and what only a server can show.
import { afterAll, beforeAll } from 'vitest';
import { adoptionContract } from '../contracts/adoption.contract.ts';
import { auditContract } from '../contracts/audit.contract.ts';
import { ledgerContract } from '../contracts/ledger.contract.ts';
import { sharedWorkContract } from '../contracts/shared-work.contract.ts';
import { startPostgres, type PostgresServer } from '../../scripts/interop/postgres-server.ts';

let server: PostgresServer;
let databases = 0;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

async function open() {
  const location = await server.createDatabase(`contract_${(databases += 1)}`);
  const opened = [await server.open(location)];
  return {
    ledger: opened[0]!,
    reopen: async () => {
      const another = await server.open(location);
      opened.push(another);
      return another;
    },
    dispose: async () => {
      for (const ledger of opened) await ledger.close();
    },
  };
}

ledgerContract('PostgreSQL', open);
adoptionContract('PostgreSQL', open);
auditContract('PostgreSQL', open);
sharedWorkContract('PostgreSQL', open);
