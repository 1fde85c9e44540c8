// A process that appends lines to a transcript until it is killed, or as many as it was asked for.
//   transcript-writer.ts FOLDER COUNT
import { randomBytes } from 'node:crypto';
import { Transcript } from '../../keys-ceremony/transcript.ts';
import { systemClock } from '../../src/lib/clock.ts';

const [folder = '', count = '0'] = process.argv.slice(2);
const transcript = new Transcript(folder, {
  clock: systemClock,
  random: randomBytes,
  ceremony: 'trial',
  computer: '0123456789abcdef',
  folder: 'fedcba9876543210',
  version: '1.0.0',
  tool: 'a'.repeat(64),
});
for (let i = 0; i < Number(count); i++) {
  try {
    await transcript.append({ step: 'refused', command: `process-${process.pid}`, code: `line-${i}` });
  } catch {
    process.exitCode = 1;
    break;
  }
  process.stdout.write(`${i}\n`);
}
