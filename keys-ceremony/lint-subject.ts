// What lint rules look at: what a proposal follows from, the proposal, and the state after it.
import type { OfflineRole, Proposal } from './payload.ts';
import type { ProposalSource, Roles } from './propose.ts';

export interface LintSubject extends ProposalSource {
  readonly proposal: Proposal;
  readonly after: Roles;
  readonly signedBytes: ReadonlyMap<OfflineRole, Uint8Array>;
}
