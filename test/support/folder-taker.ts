// Takes the folder of a back-signing run as soon as it can, says so in a journal, and dies with it.
import { appendFileSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { takeFolder } from '../../src/backsign/take-folder.ts';
import { WorkFolder } from '../../src/backsign/work-folder.ts';
import { hasCode } from '../../src/lib/errors.ts';

const [folder = '', journal = ''] = process.argv.slice(2);
const name = `here:${process.pid}:1`;
for (;;) {
  try {
    takeFolder(new WorkFolder(folder), name);
    break;
  } catch (error) {
    if (!hasCode(error, 'backsign-state')) throw error;
    await sleep(1);
  }
}
appendFileSync(journal, `in ${name}\n`);
await sleep(10);
appendFileSync(journal, `out ${name}\n`);
process.kill(process.pid, 'SIGKILL');
