// Backing up from a copy that the place of the store makes of it at one instant, and that is gone afterwards.
import type { Backend, Frozen } from "../backends/backend.ts";
import { PapyraError } from "../errors.ts";

/** A copy that was read instead of the store. */
export interface FrozenCopy {
  /** About how much it took where the store is kept. */
  readonly bytes: number;
  /** How many keys of an interrupted run were removed before. */
  readonly leftovers: number;
}

export function copyOf(frozen: Frozen | undefined): FrozenCopy | null {
  return frozen === undefined ? null : { bytes: frozen.bytes, leftovers: frozen.leftovers };
}

/**
 * Reads the store itself, or with `freeze` a copy of it. `barrier` comes first: what was accepted before must be in the copy.
 * The copy is removed whatever becomes of the reading.
 */
export async function fromFrozen<T>(
  backend: Backend,
  { freeze = false, purpose }: { readonly freeze?: boolean | undefined; readonly purpose: string },
  barrier: (() => Promise<unknown>) | undefined,
  read: (from: Backend, frozen: Frozen | undefined) => Promise<T>,
): Promise<T> {
  if (!freeze) return read(backend, undefined);
  if (backend.freeze === undefined) {
    throw new PapyraError("OPTION_INVALID", `a store of ${backend.kind} cannot be frozen: ${backend.location}`, {
      hint: "leave it out: a backup is of one instant without it, too",
      details: { option: "freeze" },
    });
  }
  await barrier?.();
  const frozen = await backend.freeze(purpose);
  try {
    return await read(frozen.backend, frozen);
  } catch (error) {
    await frozen.assertHeld(); // else that is the reason
    throw error;
  } finally {
    await frozen.release();
  }
}
