// A store in the making: built aside, where nobody looks for it, and put in its place by one step.
import type { Backend, Claim } from "./backend.ts";

export interface Stage {
  /** Reads what was built so far. */
  readonly backend: Backend;
  /** How many bytes can be stored there. */
  freeBytes(): Promise<number>;
  /** Builds it, by a claim that is not used afterwards. */
  build(work: (claim: Claim) => Promise<void>): Promise<void>;
  /** Puts it in place, all or nothing. Rejects with TARGET_NOT_EMPTY when something came there meanwhile. */
  publish(): Promise<void>;
  /** Removes what was not published, as far as it can. */
  discard(): Promise<void>;
}
