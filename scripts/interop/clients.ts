// The TUF clients of others, and ours, behind one shape: whoever writes a scenario writes it once for all of them.
import type { Component } from './components.ts';
import { countersignClient } from './countersign-client.ts';
import { goTuf } from './go-tuf.ts';
import type { Format } from './installation.ts';
import { pythonTufClient } from './python-tuf-client.ts';
import { tough } from './tough.ts';
import { newestTufJsClient, tufJs } from './tuf-js.ts';

/** The versions that a client trusts after a refresh. */
export interface TrustedVersions {
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
}

/** What a client is given before it begins; the same for all of them. */
export interface ClientSetting {
  /** The root that it is shipped with. */
  readonly rootFile: string;
  /** Where timestamp.json is: `http://127.0.0.1:8458/metadata`. */
  readonly metadataUrl: string;
  /** Where target files are: `http://127.0.0.1:8458/targets`. */
  readonly targetsUrl: string;
  /** A folder of its own, made when it is not there. A client of the same folder goes on from what it trusted. */
  readonly directory: string;
  /** Milliseconds after which a call is given up; ten minutes by default. */
  readonly callMs?: number;
}

/** One client with its state. Each call is one process; none may run beside another of the same folder. */
export interface InteropClient {
  /**
   * Updates root, timestamp, snapshot and targets. Rejects with the last lines of what the client said when it refuses.
   * `time`: what the client takes for now, in milliseconds since the epoch; needs libfaketime but in go-tuf.
   */
  refresh(time?: number): Promise<TrustedVersions>;
  /** Refreshes, finds the target path, downloads and verifies it; where the file is. Rejects as `refresh` does. */
  download(targetPath: string, time?: number): Promise<string>;
}

export interface ClientKind {
  /** With its version, as the report says it. */
  readonly name: string;
  /** The forms of delegation to bins that it reads. */
  readonly formats: readonly Format[];
  /** Whether it keeps metadata between two calls, and so sees a repository that goes back. */
  readonly remembers: boolean;
  /** Installs once, into the cache. */
  install(): Promise<Component>;
  /** `program`: of the component. */
  open(program: string, setting: ClientSetting): Promise<InteropClient>;
}

/** Every client that the suite knows. */
export const CLIENTS: readonly ClientKind[] = [
  countersignClient,
  pythonTufClient('7.0.1'),
  pythonTufClient('6.0.0'),
  tufJs,
  newestTufJsClient,
  goTuf,
  tough,
];
