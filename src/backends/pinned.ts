// Work that replaces closed segments, or must not see them replaced: backup, compaction and recovery exclude one another.
import type { Backend, Claim } from "./backend.ts";

/** Rejects with STORE_LOCKED, naming whoever is in the way; else with what `work` rejects with. */
export async function whilePinned<T>(backend: Backend, purpose: string, work: () => Promise<T>): Promise<T> {
  const pin = await backend.pin?.(purpose);
  try {
    return await work();
  } finally {
    await pin?.release();
  }
}

/** The same as the one writer. */
export async function withPinnedClaim<T>(
  backend: Backend,
  purpose: string,
  work: (claim: Claim) => Promise<T>,
): Promise<T> {
  const claim = await backend.claim(purpose);
  try {
    return await whilePinned(backend, purpose, () => work(claim));
  } finally {
    await claim.release();
  }
}
