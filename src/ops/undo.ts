// What a recovery keeps so that it can be reverted: for each rewriting of a segment, in the order in which they happen, the
// bytes that go, what must be done to put them back, and the hashes of the segment before and after. Durable before anything
// changes. In quarantine mode only: who only repairs does not want the bytes.
import { createHash } from "node:crypto";
import type { Backend, Segment, Splice } from "../backends/backend.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import type { LogName } from "../log/record.ts";

/** A segment as a whole. */
export interface Content {
  readonly bytes: number;
  readonly sha256: string;
}

/** Which rewriting of which recovery. */
export interface UndoOf {
  readonly recovery: string;
  readonly n: number;
  /** How far the log was vouched for by then, if it was. */
  readonly vouched: { readonly log: LogName; readonly seq: number } | null;
}

/** One rewriting, as undo-<n>.json holds it. */
export interface Undo extends UndoOf {
  readonly papyra_undo: 1;
  readonly segment: string;
  /** Null when the file was not there. */
  readonly before: Content | null;
  /** Null when that was not known beforehand. */
  readonly after: Content | null;
  /** At `offset` of the segment as it is afterwards, `remove` bytes go and `length` bytes come, from `at` in undo-<n>.bytes. */
  readonly splices: readonly {
    readonly offset: number;
    readonly remove: number;
    readonly at: number;
    readonly length: number;
  }[];
  /** Of undo-<n>.bytes. */
  readonly kept: Content;
}

/** The names of the files of one rewriting. */
export const undoFiles = (n: number): { readonly bytes: string; readonly json: string } => ({
  bytes: `undo-${n}.bytes`,
  json: `undo-${n}.json`,
});

/** Kept last, when a recovery has done everything: how many rewritings it has kept. Without it, what is missing at the end cannot be told. */
export const COMPLETE_FILE = "complete.json";

/** What a recovery kept. */
export interface Kept {
  readonly undos: readonly Undo[];
  /** All of it, for certain. Else it was interrupted, or this is not all that it kept, or it is of an earlier release. */
  readonly complete: boolean;
}

/** The bytes of a segment after some splices. */
export async function* splicedBytes(
  backend: Backend,
  { name, bytes, id }: Pick<Segment, "name" | "bytes"> & { readonly id?: string },
  splices: readonly Splice[],
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  for (const { offset, remove, insert } of splices) {
    if (offset > position) yield* backend.read(name, position, offset, id);
    if (insert.length > 0) yield insert;
    position = offset + remove;
  }
  if (bytes > position) yield* backend.read(name, position, bytes, id);
}

export async function contentOf(chunks: AsyncIterable<Uint8Array>): Promise<Content> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Keeps what reverts a rewriting that is about to happen. */
export async function keepUndo(
  backend: Backend,
  directory: string,
  about: UndoOf,
  segment: Pick<Segment, "name" | "bytes">,
  splices: readonly Splice[],
): Promise<void> {
  const before = await contentOf(splicedBytes(backend, segment, []));
  const after = await contentOf(splicedBytes(backend, segment, splices));
  const inverse: Undo["splices"][number][] = [];
  let shift = 0;
  let at = 0;
  for (const { offset, remove, insert } of splices) {
    inverse.push({ offset: offset + shift, remove: insert.length, at, length: remove });
    shift += insert.length - remove;
    at += remove;
  }
  const removed = async function* (): AsyncGenerator<Uint8Array> {
    for (const { offset, remove } of splices)
      if (remove > 0) yield* backend.read(segment.name, offset, offset + remove);
  };
  await keep(backend, directory, { ...about, segment: segment.name, before, after, splices: inverse }, removed);
}

/** The same for a file that is made, or replaced as a whole by what is not known yet. */
export async function keepReplaced(
  backend: Backend,
  directory: string,
  about: UndoOf,
  { name, bytes }: { readonly name: string; readonly bytes: number | undefined },
): Promise<void> {
  const all = async function* (): AsyncGenerator<Uint8Array> {
    if (bytes !== undefined && bytes > 0) yield* backend.read(name, 0, bytes);
  };
  const before = bytes === undefined ? null : await contentOf(all());
  const splices = [{ offset: 0, remove: Number.MAX_SAFE_INTEGER, at: 0, length: bytes ?? 0 }];
  await keep(backend, directory, { ...about, segment: name, before, after: null, splices }, all);
}

async function keep(
  backend: Backend,
  directory: string,
  undo: Omit<Undo, "papyra_undo" | "kept">,
  bytes: () => AsyncIterable<Uint8Array>,
): Promise<void> {
  const files = undoFiles(undo.n);
  const kept = await contentOf(bytes());
  const whole: Undo = { papyra_undo: 1, ...undo, kept };
  const json = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${JSON.stringify(whole, undefined, 2)}\n`);
  };
  await backend.quarantine(
    directory,
    new Map([
      [files.bytes, bytes()],
      [files.json, json()],
    ]),
  );
}

/** Says that a recovery has kept so many rewritings, and come to its end. */
export async function keepComplete(
  backend: Backend,
  directory: string,
  recovery: string,
  undos: number,
): Promise<void> {
  const json = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${JSON.stringify({ papyra_undo: 1, recovery, undos })}\n`);
  };
  await backend.quarantine(directory, new Map([[COMPLETE_FILE, json()]]));
}

/** How many rewritings a recovery kept, if it says so. */
async function keptInAll(backend: Backend, directory: string, recovery: string): Promise<number | undefined> {
  const bytes = await unlessMissing(readAll(backend.readKept(directory, COMPLETE_FILE)));
  if (bytes === undefined) return undefined;
  const stated = parseObject(bytes);
  if (stated?.recovery === recovery && Number.isSafeInteger(stated.undos)) return stated.undos as number;
  throw quarantineDamaged(directory, COMPLETE_FILE, "it is not what that recovery wrote");
}

/**
 * Everything that a recovery kept, in order. An interrupted one has kept a beginning, and never leaves a hole. Rejects with
 * STORE_NOT_FOUND and QUARANTINE_DAMAGED.
 */
export async function readUndos(backend: Backend, directory: string, recovery: string): Promise<Kept> {
  const undos: Undo[] = [];
  const all = await keptInAll(backend, directory, recovery);
  for (let n = 1; ; n++) {
    const file = undoFiles(n).json;
    const bytes = await unlessMissing(readAll(backend.readKept(directory, file)));
    if (bytes === undefined) {
      const later = await unlessMissing(readAll(backend.readKept(directory, undoFiles(n + 1).json)));
      if (later !== undefined) throw quarantineDamaged(directory, file, "it is missing, and what follows it is there");
      if (n <= (all ?? 0))
        throw quarantineDamaged(directory, file, `it is missing, and that recovery kept ${all} such`);
      if (n > 1) return { undos, complete: all !== undefined };
      throw new PapyraError(
        "STORE_NOT_FOUND",
        `${directory} keeps nothing with which recovery ${recovery} could be reverted`,
        {
          hint: "only recoveries in quarantine mode can be; name the directory with --quarantine-dir and the id as recover printed it",
          details: { directory, recovery },
        },
      );
    }
    undos.push(parsed(bytes, directory, file, recovery, n));
  }
}

/** What is read of a file that a recovery kept; undefined when that is not there. */
export async function unlessMissing<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (isPapyraError(error, "STORE_NOT_FOUND")) return undefined;
    throw error;
  }
}

export async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

function parsed(bytes: Buffer, directory: string, file: string, recovery: string, n: number): Undo {
  const undo: Partial<Undo> | undefined = parseObject(bytes);
  const whole =
    undo?.papyra_undo === 1 &&
    undo.recovery === recovery &&
    undo.n === n &&
    typeof undo.segment === "string" &&
    Array.isArray(undo.splices) &&
    typeof undo.kept?.sha256 === "string" &&
    undo.before !== undefined &&
    undo.after !== undefined &&
    undo.vouched !== undefined;
  if (whole) return undo as Undo;
  throw quarantineDamaged(directory, file, "it is not what that recovery wrote");
}

export function quarantineDamaged(directory: string, file: string, what: string): PapyraError {
  return new PapyraError("QUARANTINE_DAMAGED", `${directory}/${file}: ${what}; nothing was done`, {
    hint: "put the quarantine back from a backup, or leave the recovery as it is",
    details: { directory, file },
  });
}
