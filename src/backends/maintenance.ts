// What compaction may do to an open store while it is written: everything but to touch the active segments, which belong to
// the writer. One maintenance at a time.
import { PapyraError } from "../errors.ts";
import { normalise } from "../log/ranges.ts";
import type { LogName, NewRecord } from "../log/record.ts";
import type { Claim } from "./backend.ts";
import type { LogState } from "./batch.ts";
import type { Maintenance } from "./store.ts";

/** What maintenance needs of the writer. */
export interface MaintainedWriter {
  readonly claim: Claim;
  readonly logs: Readonly<Record<LogName, LogState>>;
  /** For messages. */
  readonly location: string;
  readonly assertOpen: () => void;
  readonly flush: () => Promise<void>;
  readonly append: (log: LogName, records: readonly NewRecord[]) => Promise<unknown>;
  readonly seal: (log: LogName) => Promise<void>;
}

/** Fewer than any queue can hold. */
const GAPS_AT_ONCE = 16;

/** Lets one maintenance at a time have the store. */
export class Maintainer {
  readonly #writer: MaintainedWriter;
  #purpose: string | undefined;

  constructor(writer: MaintainedWriter) {
    this.#writer = writer;
  }

  /** Rejects with STORE_LOCKED while another maintenance is running, else with what `work` rejects with. */
  async run<T>(purpose: string, work: (maintenance: Maintenance) => Promise<T>): Promise<T> {
    const { claim, logs, location, assertOpen, append, flush, seal } = this.#writer;
    assertOpen();
    if (this.#purpose !== undefined) {
      throw new PapyraError("STORE_LOCKED", `${purpose} has to wait: ${this.#purpose} of ${location} is running`, {
        hint: "wait until it has ended, then try again",
      });
    }
    this.#purpose = purpose;
    try {
      return await work({
        seal,
        async account(log, gaps, gone) {
          for (let i = 0; i < gaps.length; i += GAPS_AT_ONCE) await append(log, gaps.slice(i, i + GAPS_AT_ONCE));
          await flush(); // whatever the policy: what they account for is about to go, durably
          const state = logs[log];
          state.absent = normalise([...state.absent, ...gone]);
        },
        async assertUnneeded(log, gone) {
          assertOpen();
          await claim.assertUnneeded?.(log, gone);
        },
        async publish(segment, content) {
          assertOpen();
          await claim.publish(segment, content);
        },
        async remove(segments) {
          assertOpen();
          await claim.remove(segments);
        },
      });
    } finally {
      this.#purpose = undefined;
    }
  }
}
