// Reading beside compaction: a segment of a view may be replaced or removed before it is read. Whoever reads a whole store
// looks again and begins anew; a compaction replaces each segment once, so that this ends.
import { isPapyraError } from "../errors.ts";
import type { Backend, StoreView } from "./backend.ts";

/** So often the store is looked at anew. */
export const VIEWS_MAX = 10;

/** Whether an error says that a segment is no longer the one that was listed. */
export function isReplaced(error: unknown): boolean {
  return isPapyraError(error, "STORE_NOT_FOUND");
}

/** Calls `read` with a view of the store; again with a new one when segments were replaced, also when nobody wrote before that. */
export async function readSteadily<T>(
  backend: Backend,
  read: (view: StoreView) => Promise<T>,
  newest?: number,
): Promise<T> {
  for (let views = 1; ; views++) {
    const view = await backend.view(newest);
    try {
      return await read(view);
    } catch (error) {
      if (!isReplaced(error) || views === VIEWS_MAX) throw error;
    }
  }
}
