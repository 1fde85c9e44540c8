// python-tuf, the reference client.
import { inCheckout } from './checkout.ts';
import type { ClientKind } from './clients.ts';
import { commandClient } from './command-client.ts';
import { pythonTuf } from './components.ts';

const SCRIPT = inCheckout('test/interop/python_tuf_command.py');

export const pythonTufClient: ClientKind = {
  name: 'python-tuf 7.0.1',
  formats: ['succinct', 'prefixes'],
  remembers: true,
  install: pythonTuf,
  open: (program, setting) => commandClient({ program, first: [SCRIPT] }, setting),
};
