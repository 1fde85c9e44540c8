// The machine that a process runs on, by a name that no other has: who finds a publisher of its own machine that has ended
// takes over at once. Host names do not do: machines made of one image, and containers in the network of their host, have
// the same one, and each would take the publisher of the other for one that has ended, and office from it, for ever.
import { readFileSync, readlinkSync } from 'node:fs';
import { sha256Hex } from './bytes.ts';

/** `host/3f5a01bc`; the host name alone where nothing else is known. */
export function machineName(host: string, identity: readonly string[]): string {
  return identity.length === 0 ? host : `${host}/${sha256Hex(identity.join('\n')).slice(0, 8)}`;
}

/**
 * What tells machines apart, as far as this system says it: when the kernel was started, which installation it is, and in
 * which space of process numbers (a container's) this process is.
 */
export function machineIdentity(): string[] {
  return [
    () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'),
    () => readFileSync('/etc/machine-id', 'utf8'),
    () => readlinkSync('/proc/self/ns/pid'),
  ].flatMap((read) => {
    try {
      return [read().trim()];
    } catch {
      // Another system, or a sandbox that hides it.
      return [];
    }
  });
}
