// What a power cut leaves of a simulated disk. Durable bytes and names always survive; of everything pending, any part may.
// The model is stricter than any one file system: files tear at any byte, in sectors, in pages, as zeros or with a hole in
// front, each independently of the others, and so do directories keep their changes. The same seed leaves the same bytes.
import {
  applyEntry,
  applyWrite,
  type PendingEntry,
  type PendingWrite,
  type SharedBytes,
  SimDir,
  SimFile,
} from "./sim-inode.ts";

/** What survives of the things that were not synced: nothing, everything, or what the seed says. */
export type Survival = "drop" | "keep" | "mixed";

/** What a disk writes whole: single bytes (no promise at all), sectors, pages. The seed says which. */
const GRAINS = [1, 512, 4096] as const;

/** Numbers in [0, 1) that depend on the seed alone. */
export function seededNumbers(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995; // neighbouring seeds start far apart
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The tree that is found after a power cut. */
export function survivingTree(root: SimDir, survival: Survival, seed: number): SimDir {
  const grain = GRAINS[Math.abs(seed) % GRAINS.length] as number;
  return survivingDir(root, { survival, grain, next: seededNumbers(seed) }, new Map());
}

/** How one disk loses its power. */
interface Loss {
  readonly survival: Survival;
  readonly grain: number;
  readonly next: () => number;
}

function survivingDir(dir: SimDir, loss: Loss, found: Map<SimFile | SimDir, SimFile | SimDir>): SimDir {
  const names = new Map(dir.durable);
  for (const change of survivingEntries(dir.pending, loss)) applyEntry(names, change);
  const survivor = new SimDir(dir.number, survivingTime(dir, loss));
  found.set(dir, survivor);
  for (const [name, node] of names) {
    const known = found.get(node);
    if (known instanceof SimDir) continue; // half of a move survived: a directory never has two names
    const child = known ?? (node instanceof SimDir ? survivingDir(node, loss, found) : survivingFile(node, loss));
    found.set(node, child);
    survivor.entries.set(name, child);
  }
  survivor.durable = new Map(survivor.entries);
  return survivor;
}

function survivingEntries(pending: readonly PendingEntry[], { survival, next }: Loss): readonly PendingEntry[] {
  if (pending.length === 0 || survival === "keep") return pending;
  if (survival === "drop") return [];
  if (next() < 0.25) return pending.filter(() => next() < 0.5);
  return pending.slice(0, below(pending.length + 1, next));
}

function survivingTime(node: SimFile | SimDir, { survival, next }: Loss): number {
  if (node.changedMs === node.durableMs) return node.changedMs;
  return survival === "keep" || (survival === "mixed" && next() < 0.5) ? node.changedMs : node.durableMs;
}

function survivingFile(file: SimFile, loss: Loss): SimFile {
  const { survival } = loss;
  const bytes = file.durable.share();
  if (survival === "keep") for (const write of file.pending) applyWrite(bytes, write);
  if (survival === "mixed" && file.pending.length > 0) applySome(bytes, file.pending, loss);
  return new SimFile(file.number, survivingTime(file, loss), bytes);
}

function applySome(bytes: SharedBytes, pending: readonly PendingWrite[], loss: Loss): void {
  const { next } = loss;
  const kept = (writes: readonly PendingWrite[]): void => writes.forEach((write) => applyWrite(bytes, write));
  const choice = below(6, next);
  if (choice === 0) return;
  if (choice === 1) return kept(pending);
  if (choice <= 3) {
    const whole = below(pending.length, next);
    kept(pending.slice(0, whole));
    return applyTorn(bytes, pending[whole]!, loss);
  }
  for (const write of pending) {
    const fate = below(4, next);
    if (fate === 0) kept([write]);
    else if (fate > 1) applyTorn(bytes, write, loss);
  }
}

function applyTorn(bytes: SharedBytes, write: PendingWrite, { grain, next }: Loss): void {
  if (write.truncates === true) return; // a length changes or it does not
  const end = write.position + write.bytes.length;
  switch (below(4, next)) {
    case 0:
      return bytes.write(write.bytes.subarray(0, below(write.bytes.length, next)), write.position);
    case 1:
      for (let from = write.position; from < end; ) {
        const to = Math.min(end, (Math.floor(from / grain) + 1) * grain);
        if (next() < 0.5) bytes.write(write.bytes.subarray(from - write.position, to - write.position), from);
        from = to;
      }
      if (next() < 0.5) bytes.extend(end); // what did not reach the disk at the end reads as zeros
      return;
    case 2:
      return bytes.extend(end); // the new size reached the disk, the data did not
    default: {
      const hole = below(write.bytes.length, next) + 1;
      bytes.extend(end);
      return bytes.write(write.bytes.subarray(hole), write.position + hole);
    }
  }
}

/** A whole number from 0 to `limit` - 1. */
function below(limit: number, next: () => number): number {
  return Math.floor(next() * limit);
}
