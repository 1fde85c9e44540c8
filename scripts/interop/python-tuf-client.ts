// python-tuf, the reference client, in its two newest major versions.
import { inCheckout } from './checkout.ts';
import type { ClientKind } from './clients.ts';
import { commandClient } from './command-client.ts';
import { pythonTuf, type PythonTufVersion } from './components.ts';

const SCRIPT = inCheckout('test/interop/python_tuf_command.py');

export function pythonTufClient(version: PythonTufVersion): ClientKind {
  return {
    name: `python-tuf ${version}`,
    formats: ['succinct', 'prefixes'],
    remembers: true,
    install: () => pythonTuf(version),
    open: (program, setting) => commandClient({ program, first: [SCRIPT] }, setting),
  };
}
