// One of the threads of back-signing: answers one question after the other (./crew.ts).
import { parentPort } from 'node:worker_threads';
import { BinWork } from './bin-work.ts';
import { failureOf, perform, type Question, type Reply } from './crew.ts';
import { arrived } from './thread-bins.ts';

const port = parentPort;
if (port !== null) {
  let work: BinWork | undefined;
  let turn = Promise.resolve();

  const answer = async (question: Question): Promise<unknown> => {
    if ('job' in question) return perform(question.job, work);
    const bins = await arrived(question.begin);
    work = new BinWork(bins, bins.signers);
    return undefined;
  };

  const reply = async (question: Question): Promise<void> => {
    let message: Reply;
    try {
      message = { answer: await answer(question) };
    } catch (error) {
      message = { failure: failureOf(error) };
    }
    port.postMessage(message, transferable(message));
  };

  port.on('message', (question: Question) => {
    turn = turn.then(() => reply(question));
  });
}

/** The records of a block are handed over, not copied. */
function transferable(message: Reply): ArrayBuffer[] {
  const answer: unknown = 'answer' in message ? message.answer : undefined;
  if (typeof answer !== 'object' || answer === null || !('records' in answer)) return [];
  const { records } = answer;
  return records instanceof Uint8Array && records.buffer instanceof ArrayBuffer ? [records.buffer] : [];
}
