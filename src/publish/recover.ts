// A publication that was committed but not finished: the process died, or the store did. The ledger says what was
// decided; the plan is made again from it and completed by the code that would have completed it then.
import { CountersignError, FatalError } from '../lib/errors.ts';
import type { AcceptedEvent, Intent, Ledger } from '../ledger/ledger.ts';
import { BinLayout } from '../tuf/bins.ts';
import { PAGE_FORM } from '../simple/index-page.ts';
import { applyEvents, type AppliedEvents, type Statement } from './apply-events.ts';
import { gatherBatch, type Batch, type BatchSource } from './batch.ts';
import { complete, type CommitPorts, type Published } from './commit.ts';
import type { Plan } from './plan.ts';
import { changePages } from './simple-pages.ts';
import { completeImport, orderedBundle } from './import-publication.ts';
import { completePreparation, sourcesOf } from './rebin-publication.ts';

/**
 * Finishes `intent` on top of what is public.
 * @throws CountersignError `bin-altered` until every bin that it builds on is as it was published; FatalError
 *   `ledger-invalid`; the errors of `complete`.
 */
export async function recover(
  ports: CommitPorts,
  published: Published,
  source: BatchSource,
  intent: Intent,
): Promise<Published> {
  const rejected = new Set(intent.rejected.map(({ position }) => position));
  const events = (await settledEvents(ports.ledger, intent)).filter(
    ({ position }) => !rejected.has(position),
  );
  const layout = intent.rebin && new BinLayout(intent.rebin.count, intent.rebin.generation);
  const written = intent.bins.map(({ bin }) => bin);
  const bins = layout === undefined ? written : sourcesOf(layout, written, published.snapshot.layout);
  // What was decided, whatever the setting says today.
  const renderPages = intent.pages !== undefined;
  const batch = await gatherBatch({ ...source, renderPages }, events, bins, ports.clock.now());
  // An event without effect has a bin too: without it, nobody can tell that the event has none.
  if (batch.renewals.length < bins.length || batch.events.length < events.length) {
    throw new CountersignError(
      'bin-altered',
      `publication ${intent.snapshot} was committed and cannot be completed: ` +
        source.altered
          .list()
          .map(({ message }) => message)
          .join('; '),
    );
  }
  const applied = applyEvents(events, (path) => batch.lookup(path));
  const contradiction = applied.rejected[0];
  if (contradiction !== undefined) {
    throw new FatalError(
      'ledger-invalid',
      `publication ${intent.snapshot} was committed with event ${contradiction.position}, which is now refused: ` +
        contradiction.reason,
    );
  }
  const plan = { intent, ...changesWithPages(intent, events, applied, batch) };
  const { bins: session } = source;
  if (intent.replaces === undefined) {
    if (layout !== undefined) return completePreparation(ports, published, intent, layout, session);
    return complete(ports, published, plan, session);
  }
  // The bundle is read back from its order, and judged at the time at which it was committed.
  const { digest, bundle } = await orderedBundle(ports.ledger, intent.bundle ?? '', intent.at);
  const orders = await ports.ledger.openOrders();
  const overwrite = orders.some((order) => order.kind === 'import-compromised' && order.digest === digest);
  return completeImport(ports, published, plan, bundle, session, overwrite);
}

/** @throws FatalError `ledger-invalid` when another version of countersign renders pages in another form. */
function changesWithPages(
  { pages: form, snapshot, at, rejected }: Intent,
  events: readonly AcceptedEvent[],
  { changes }: AppliedEvents,
  batch: Batch,
): Pick<Plan, 'changes' | 'pages'> {
  const { pages } = batch;
  if (form === undefined || pages === undefined) return { changes };
  if (form !== PAGE_FORM) {
    throw new FatalError(
      'ledger-invalid',
      `publication ${snapshot} was committed with pages in form ${form}, this version renders form ${PAGE_FORM}: ` +
        'finish it with the version that began it',
    );
  }
  const lookup = (path: string): Statement => batch.lookup(path);
  const after = changePages({ events, rejected, changes, lookup, pages, snapshot, now: at });
  return { changes: after.changes, pages: after.objects };
}

async function settledEvents(ledger: Ledger, intent: Intent): Promise<AcceptedEvent[]> {
  const wanted = new Set(intent.events);
  const events: AcceptedEvent[] = [];
  let position = (intent.events[0] ?? 1) - 1;
  while (events.length < wanted.size) {
    const page = await ledger.read(position, 10_000);
    const last = page.at(-1);
    if (last === undefined) {
      throw new FatalError(
        'ledger-invalid',
        `publication ${intent.snapshot} settles ${wanted.size} events, the ledger holds ${events.length} of them`,
      );
    }
    events.push(...page.filter((event) => wanted.has(event.position)));
    position = last.position;
  }
  return events;
}
