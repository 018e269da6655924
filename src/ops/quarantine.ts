// The quarantine: where recovery keeps the bytes that it takes out, with the reason and a hash of each stretch, so that
// nothing is ever gone for good and what happened can be looked into later.
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import type { Backend, StoreView } from "../backends/backend.ts";
import type { Anomaly } from "../log/anomaly.ts";
import { QUARANTINE_DIR } from "../log/segments.ts";
import type { RemovedBytes } from "./plan.ts";

/**
 * Keeps the bytes of each segment in one file, and what they were in another; both durable before anything goes. Returns
 * the directory.
 */
export async function keepBytes(
  backend: Backend,
  view: StoreView,
  removals: readonly RemovedBytes[],
  run: { readonly root: string | undefined; readonly recovery: string; readonly round: number },
): Promise<string> {
  const directory = quarantineOf(backend, view, run.root, run.recovery);
  const bySegment = new Map<string, RemovedBytes[]>();
  for (const removed of removals) bySegment.set(removed.segment, [...(bySegment.get(removed.segment) ?? []), removed]);
  const files = new Map<string, AsyncIterable<Uint8Array>>();
  for (const [segment, all] of bySegment) {
    const name = run.round === 0 ? segment : `${segment}.round${run.round + 1}`;
    const entries: QuarantineEntry[] = [];
    const { store, lineage } = view.identity ?? {};
    files.set(`${name}.bytes`, bytesOf(backend, segment, all, entries));
    files.set(`${name}.reasons.json`, reasons({ recovery: run.recovery, store, lineage, segment }, entries));
  }
  await backend.quarantine(directory, files);
  return directory;
}

/** The directory of one recovery. */
export function quarantineOf(backend: Backend, view: StoreView, root: string | undefined, recovery: string): string {
  const lone = view.segments.some((segment) => segment.log === undefined);
  const home = lone ? dirname(backend.location) : backend.location;
  // Not joined as a path: the place of a store may be an address.
  return root === undefined ? `${home}/${QUARANTINE_DIR}/${recovery}` : join(root, recovery);
}

async function* bytesOf(
  backend: Backend,
  segment: string,
  all: readonly RemovedBytes[],
  entries: QuarantineEntry[],
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for (const { finding } of all) {
    const { offset, length, kind, detail, seqs, acknowledged } = finding;
    const hash = createHash("sha256");
    for await (const chunk of backend.read(segment, offset, offset + length)) {
      hash.update(chunk);
      yield chunk;
    }
    entries.push({ at, offset, length, kind, detail, seqs, acknowledged, sha256: hash.digest("hex") });
    at += length;
  }
}

interface QuarantineEntry {
  /** Where the bytes begin in the file beside this one. */
  readonly at: number;
  /** Where they stood in the segment. */
  readonly offset: number;
  readonly length: number;
  readonly kind: Anomaly["kind"];
  readonly detail: string;
  readonly seqs: Anomaly["seqs"];
  readonly acknowledged: Anomaly["acknowledged"];
  readonly sha256: string;
}

/** Written after the bytes, whose hashes it holds: the files are written in order. */
async function* reasons(
  head: Record<string, unknown>,
  entries: readonly QuarantineEntry[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.from(`${JSON.stringify({ ...head, entries }, undefined, 2)}\n`);
}
