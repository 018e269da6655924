// Revert: puts back byte for byte what a recovery took out, and takes out what it put in, as long as its quarantine is there.
// All of it is checked before anything is changed. Each segment is then put back atomically, the last rewriting first; a crash
// in between leaves some as they were before the recovery and some as after it, and the next revert goes on.
import type { Backend, Claim, Splice } from "../backends/backend.ts";
import { withPinnedClaim } from "../backends/pinned.ts";
import { PapyraError } from "../errors.ts";
import { activeName, STORE_FILE } from "../log/segments.ts";
import { quarantineOf } from "./quarantine.ts";
import { type ScanReport, scanView } from "./scan.ts";
import {
  type Content,
  contentOf,
  quarantineDamaged,
  readAll,
  readUndos,
  splicedBytes,
  type Undo,
  undoFiles,
  unlessMissing,
} from "./undo.ts";

export interface RevertOptions {
  /** The id of the recovery, as it was printed and as its gap records say. */
  readonly id: string;
  /** Where that recovery kept things. Default: `quarantine` in the store. */
  readonly quarantineDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RevertReport {
  readonly ok: true;
  readonly verdict: string;
  readonly id: string;
  readonly path: string;
  readonly quarantine: string;
  readonly changed: boolean;
  /** All that the recovery did is put back, for certain. Else it was interrupted, or the last files of its quarantine are missing. */
  readonly complete: boolean;
  /** The files that are again as they were, and their lengths. */
  readonly files: readonly { readonly file: string; readonly bytesBefore: number; readonly bytesAfter: number }[];
  /** What a scan says now: the damage is back. */
  readonly after: ScanReport;
}

const NOT_TOLD =
  "that is all that its quarantine holds: either that recovery was interrupted, or the last files that it kept are missing";
/** How a recovery is named. */
export const RECOVERY_ID = /^\d{8}T\d{6}Z-[0-9a-f]{6}$/;
const LATER =
  "revert later recoveries first; what was written since the recovery cannot be kept, so that it cannot be reverted";
/** A file that recovery made holds one line, and is removed only while that is so. */
const MADE_BYTES_MAX = 4096;

/**
 * Rejects with STORE_NOT_FOUND (nothing of that recovery is kept), STORE_CHANGED (a file is not as that recovery left it),
 * QUARANTINE_DAMAGED, STORE_LOCKED, OPTION_INVALID (no id), STORAGE_FAILED, or the signal's reason.
 */
export async function revert(backend: Backend, options: RevertOptions): Promise<RevertReport> {
  const { id, signal } = options;
  if (!RECOVERY_ID.test(id)) {
    throw new PapyraError("OPTION_INVALID", `${JSON.stringify(id)} is not the id of a recovery`, {
      hint: "it looks like 20260101T031500Z-a1b2c3: recover prints it, and its gap records name it",
    });
  }
  const directory = quarantineOf(backend, await backend.view(), options.quarantineDir, id);
  const { undos, complete } = await readUndos(backend, directory, id);
  return withPinnedClaim(backend, "reverting a recovery", async (claim) => {
    const run = new Reversion(backend, claim, directory, complete);
    const due = await run.check(undos);
    for (const undo of due) {
      signal?.throwIfAborted();
      await run.put(undo);
    }
    await run.vouch(undos);
    const view = await claim.view();
    const after = await scanView(backend, view, { signal });
    const count = run.files.length;
    const verdict =
      count === 0
        ? `recovery ${id} is reverted already: nothing was done`
        : `recovery ${id} is reverted: ${count} ${count === 1 ? "file is" : "files are"} again what ${count === 1 ? "it was" : "they were"}; now ${after.verdict}`;
    return {
      ok: true,
      verdict: complete ? verdict : `${verdict}; ${NOT_TOLD}`,
      complete,
      id,
      path: backend.location,
      quarantine: directory,
      changed: count > 0,
      files: run.files,
      after,
    };
  });
}

class Reversion {
  readonly files: { file: string; bytesBefore: number; bytesAfter: number }[] = [];
  readonly #backend: Backend;
  readonly #claim: Claim;
  readonly #directory: string;
  readonly #complete: boolean;

  constructor(backend: Backend, claim: Claim, directory: string, complete: boolean) {
    this.#complete = complete;
    this.#backend = backend;
    this.#claim = claim;
    this.#directory = directory;
  }

  /** The rewritings that have to be undone, the last one first. Changes nothing. */
  async check(undos: readonly Undo[]): Promise<Undo[]> {
    const due: Undo[] = [];
    for (const segment of new Set(undos.map((undo) => undo.segment))) {
      due.push(
        ...(await this.#dueOf(
          segment,
          undos.filter((undo) => undo.segment === segment),
        )),
      );
    }
    return due.sort((a, b) => b.n - a.n);
  }

  /** A file may stand anywhere in the chain of its rewritings: the recovery, or an earlier revert, may have been interrupted. */
  async #dueOf(segment: string, chain: readonly Undo[]): Promise<readonly Undo[]> {
    const now = await this.#contentNow(segment);
    const isNow = (content: Content | null): boolean =>
      content?.sha256 === now?.sha256 && content?.bytes === now?.bytes;
    for (let done = chain.length; done > 0; done--) {
      const { after, before } = chain[done - 1] as Undo;
      const unknown = after === null && done === chain.length && !isNow(before);
      if (unknown ? before !== null || (now?.bytes ?? 0) <= MADE_BYTES_MAX : after !== null && isNow(after)) {
        await Promise.all(chain.slice(0, done).map((undo) => this.#assertKept(undo)));
        return chain.slice(0, done);
      }
    }
    if (isNow((chain[0] as Undo).before)) return [];
    throw new PapyraError("STORE_CHANGED", `${segment} is not as that recovery left it; nothing was done`, {
      hint: this.#complete
        ? LATER
        : `${LATER}. Or the last files of its quarantine are missing: put it back from a backup, then revert again`,
      details: { file: segment, expected: chain.at(-1)?.after, actual: now },
    });
  }

  async #contentNow(segment: string): Promise<Content | null> {
    const bytes = await this.#bytesOf(segment);
    return bytes === undefined ? null : contentOf(splicedBytes(this.#backend, { name: segment, bytes }, []));
  }

  async #bytesOf(file: string): Promise<number | undefined> {
    if (file !== STORE_FILE) return (await this.#claim.view()).segments.find(({ name }) => name === file)?.bytes;
    return (await contentOf(this.#backend.read(file, 0, Number.MAX_SAFE_INTEGER))).bytes; // up to its end
  }

  async #assertKept({ n, kept }: Undo): Promise<void> {
    const file = undoFiles(n).bytes;
    const found = await unlessMissing(contentOf(this.#backend.readKept(this.#directory, file)));
    if (found?.sha256 === kept.sha256) return;
    const what = found === undefined ? "it is missing" : "its SHA-256 is another one";
    throw quarantineDamaged(this.#directory, file, what);
  }

  /**
   * The mark says again what it said before the recovery, of the logs to which that had added something: nothing was written to them
   * since, or the revert would have been refused. Also when there was nothing to put back: that may have been interrupted.
   */
  async vouch(undos: readonly Undo[]): Promise<void> {
    const vouched = undos.flatMap(({ vouched: one, segment }) =>
      one !== null && segment === activeName(one.log) ? [one] : [],
    );
    const seqs = Object.fromEntries(vouched.reverse().map(({ log, seq }) => [log, seq] as const));
    if (vouched.length > 0) await this.#claim.vouch(seqs);
  }

  async put(undo: Undo): Promise<void> {
    const { segment, before, n } = undo;
    const bytes = (await this.#bytesOf(segment)) ?? 0;
    if (before === null) await this.#claim.remove([segment]);
    else {
      const kept = await readAll(this.#backend.readKept(this.#directory, undoFiles(n).bytes));
      const splices = undo.splices.map(({ offset, remove, at, length }): Splice => {
        return { offset, remove: Math.min(remove, bytes - offset), insert: kept.subarray(at, at + length) };
      });
      const result = await contentOf(splicedBytes(this.#backend, { name: segment, bytes }, splices));
      if (result.sha256 !== before.sha256) {
        throw quarantineDamaged(this.#directory, undoFiles(n).json, `${segment} would not be what it was`);
      }
      await this.#claim.rewrite(segment, splices);
    }
    this.files.push({ file: segment, bytesBefore: bytes, bytesAfter: before?.bytes ?? 0 });
  }
}
