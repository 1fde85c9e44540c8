// Threads of this process that are asked for one thing after the other. They start when they are first needed, and one
// that has died is replaced by the next question.
import { Worker, type MessagePort } from 'node:worker_threads';
import { CountersignError, FatalError, messageOf, type ErrorCode, type ErrorDetails } from '../lib/errors.ts';
import { verifyOnThisThread } from '../tuf/keys.ts';
import type { BinPorts } from './bin-desk.ts';
import { arrived, portable, type ThreadPorts } from './thread-ports.ts';

/** Bins are outside of JavaScript's memory; left alone, each thread would take 48 MB for what it forgets at once. */
const YOUNG_GENERATION_MB = 8;

export interface Threads<Job> {
  /** How many there are. */
  readonly size: number;

  /** The number of the one that has least to do. */
  leastBusy(): number;

  /**
   * Whether they can work with these ports: with a store in a directory, and with keys that are in this process.
   * Elsewhere bins are a matter of waiting, which one thread does for all.
   */
  canUse(ports: BinPorts): boolean;

  /**
   * Asks the thread of this number. A thread takes up what it is asked at once: whoever asks bounds how much that is.
   * @throws whatever the job throws there; CountersignError `internal` when the thread dies over it.
   */
  ask(thread: number, job: Job, ports?: BinPorts): Promise<unknown>;

  /** Ends them, whatever they do. */
  close(): Promise<void>;
}

/** `entry`: the module that calls `answer` there. `storeDirectory`: of the file store, if the store is one. */
export function openThreads<Job>(entry: URL, size: number, storeDirectory?: string): Threads<Job> {
  const threads: (Thread | undefined)[] = Array.from({ length: size }, () => undefined);
  const carried = portableOnce(storeDirectory);
  return {
    size,
    leastBusy: () => {
      const waiting = threads.map((thread) => thread?.waiting ?? 0);
      return waiting.indexOf(Math.min(...waiting));
    },
    canUse: (ports) => carried(ports) !== undefined,
    ask: (number, job, ports) => {
      let thread = threads[number];
      if (thread === undefined || thread.hasEnded) thread = threads[number] = new Thread(entry);
      return thread.ask(job, ports && carried(ports));
    },
    close: async () => {
      await Promise.all(threads.flatMap((thread) => thread?.close() ?? []));
    },
  };
}

/** The same ports are carried over once: each thread is told when they change. */
function portableOnce(storeDirectory: string | undefined): (ports: BinPorts) => ThreadPorts | undefined {
  let last: { readonly ports: BinPorts; readonly portable: ThreadPorts | undefined } | undefined;
  return (ports) => {
    const { roles, signers } = ports;
    const isLast =
      last?.ports.roles === roles &&
      last.ports.signers?.signer === signers?.signer &&
      last.ports.signers?.nextSigner === signers?.nextSigner;
    if (last === undefined || !isLast) {
      last = { ports, portable: storeDirectory === undefined ? undefined : portable(ports, storeDirectory) };
    }
    return last.portable;
  };
}

/** What a thread is told: ports for the jobs that follow, or a job. */
type Message = { readonly ports: ThreadPorts } | { readonly number: number; readonly job: unknown };

/** What it answers. */
type Reply = { readonly number: number } & ({ readonly answer: unknown } | { readonly failure: Failure });

interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
  readonly fatal: boolean;
}

/**
 * What the entry module of a thread calls: performs jobs as they come, several at once while they wait for the disk.
 * `transfer`: memory of an answer that is handed over, not copied.
 */
export function answer(
  port: MessagePort,
  perform: (job: unknown, ports: BinPorts | undefined) => Promise<unknown>,
  transfer: (answer: unknown) => ArrayBuffer[],
): void {
  verifyOnThisThread();
  let ports: Promise<BinPorts> | undefined;
  const reply = async (number: number, job: unknown, given: typeof ports): Promise<void> => {
    try {
      const answer = await perform(job, await given);
      port.postMessage({ number, answer } satisfies Reply, transfer(answer));
    } catch (error) {
      port.postMessage({ number, failure: failureOf(error) } satisfies Reply);
    }
  };
  port.on('message', (message: Message) => {
    if ('ports' in message) {
      ports = arrived(message.ports);
      // Told to whoever asks for something that needs them.
      ports.catch(() => undefined);
    } else void reply(message.number, message.job, ports);
  });
}

function failureOf(error: unknown): Failure {
  if (error instanceof CountersignError) {
    const { code, message, details } = error;
    return { code, message, details, fatal: error instanceof FatalError };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'internal', message, details: {}, fatal: false };
}

class Thread {
  readonly #worker: Worker;
  readonly #waiting = new Map<
    number,
    { resolve: (answer: unknown) => void; reject: (error: unknown) => void }
  >();
  #asked = 0;
  #ports: ThreadPorts | undefined;
  #ended = false;

  constructor(entry: URL) {
    this.#worker = new Worker(entry, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB } });
    this.#worker.on('message', (reply: Reply) => {
      const asked = this.#waiting.get(reply.number);
      this.#waiting.delete(reply.number);
      if (this.#waiting.size === 0) this.#worker.unref();
      if ('answer' in reply) asked?.resolve(reply.answer);
      else {
        const { code, message, details, fatal } = reply.failure;
        asked?.reject(new (fatal ? FatalError : CountersignError)(code, message, { details }));
      }
    });
    this.#worker.unref();
    this.#worker.on('error', (error) => {
      this.#fail(`a thread failed: ${messageOf(error)}`);
    });
    this.#worker.on('exit', (status) => {
      this.#fail(`a thread ended with ${status}`);
    });
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /** Questions without an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  ask(job: unknown, ports: ThreadPorts | undefined): Promise<unknown> {
    if (ports !== undefined && ports !== this.#ports) {
      this.#ports = ports;
      this.#worker.postMessage({ ports } satisfies Message);
    }
    const number = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      // An idle thread keeps no process from ending.
      this.#worker.ref();
      this.#worker.postMessage({ number, job } satisfies Message);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(message: string): void {
    this.#ended = true;
    for (const { reject } of this.#waiting.values()) reject(new CountersignError('internal', message));
    this.#waiting.clear();
  }
}
