// Reading whole logs while threads look at their closed segments ahead, where these are worth starting.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import type { LookAhead } from "../backends/look-ahead.ts";
import { encodeIdentity } from "../log/codec.ts";
import type { LogName } from "../log/record.ts";
import { THREADS_MAX, wholeNumber } from "../options.ts";

/** Starting a thread takes about as long (75 ms) as reading so many bytes: for less the threads would come too late. */
const THREAD_BYTES = 64 << 20;

export interface LookingAhead {
  readonly threads?: number | undefined;
  readonly trustSeals?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Calls `read`, and ends the threads behind it, or when the signal says so. Rejects with OPTION_INVALID. */
export async function lookingAhead<T>(
  backend: Backend,
  view: StoreView,
  logs: readonly (LogName | undefined)[],
  options: LookingAhead,
  read: (ahead: LookAhead | undefined) => Promise<T>,
): Promise<T> {
  const ahead = start(backend, view, logs, options);
  if (ahead === undefined) return read(undefined);
  const { signal } = options;
  const end = (): void => {
    void ahead.end(); // who waits for an answer of theirs waits no longer
  };
  signal?.addEventListener("abort", end, { once: true });
  try {
    return await read(ahead);
  } finally {
    signal?.removeEventListener("abort", end);
    await ahead.end();
  }
}

function start(
  backend: Backend,
  view: StoreView,
  logs: readonly (LogName | undefined)[],
  { threads, trustSeals }: LookingAhead,
): LookAhead | undefined {
  const most = wholeNumber("threads", threads, 1, 1, THREADS_MAX);
  if (most === 1 || trustSeals === true || backend.lookAhead === undefined) return undefined;
  const closed: (readonly [Segment, string])[] = [];
  for (const segment of view.segments) {
    const identity = identityOf(view, segment.log, segment);
    if (!segment.active && logs.includes(segment.log) && identity !== undefined)
      closed.push([segment, encodeIdentity(identity)]);
  }
  const bytes = closed.reduce((sum, [segment]) => sum + segment.bytes, 0);
  const count = Math.min(most, closed.length, Math.floor(bytes / THREAD_BYTES));
  return count < 2 ? undefined : backend.lookAhead(closed, count);
}
