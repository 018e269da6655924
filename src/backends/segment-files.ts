// The segments of a file store beside a writer that may close one at any moment: the active file then gets a closed name,
// and another file has the active one. A listing is of one instant, and a segment is read under whatever name it has by now.
import { join } from "node:path";
import { readAndClose, readOpen, readRange } from "../env/durable.ts";
import type { Env, Fs, OpenFile } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { orderSegments, parseFileName, supersededSegments } from "../log/segments.ts";
import type { OpenSegment, Segment, Superseded } from "./backend.ts";

/** So often a store is listed anew that changes while it is listed. */
const LISTINGS_MAX = 100;
/** So many files are looked at together, also by who asks for fewer. */
const LOOKS_AT_ONCE = 64;

/** What stands in the directory of a store. */
export interface SegmentListing {
  readonly names: readonly string[];
  readonly segments: readonly Segment[];
  /** There are more, and only the newest were asked for. */
  readonly older: boolean;
  readonly superseded: readonly Superseded[];
}

/**
 * The files of a directory at one instant: a writer beside us may close a segment between the listing and the look at each
 * file, and then what was listed is another one. Every closing adds a name, so that a second listing tells.
 */
export async function listSegments(env: Env, path: string, newest?: number): Promise<SegmentListing> {
  for (let listing = 0; listing < LISTINGS_MAX; listing++) {
    const names = await env.fs.list(path);
    const segments: (Segment | undefined)[] = [];
    const superseded: Superseded[] = [];
    let older = false;
    for (const log of LOG_NAMES) {
      const all = orderSegments(names, log);
      const some = newest === undefined || all.length <= LOOKS_AT_ONCE ? all : all.slice(-newest);
      segments.push(...(await segmentsOf(env, path, some, log)));
      older ||= some.length < all.length;
      const replaced = supersededSegments(names, log);
      for (const segment of await segmentsOf(env, path, [...replaced.keys()], log)) {
        if (segment !== undefined) superseded.push({ ...segment, by: replaced.get(segment.name) as string });
      }
    }
    const again = await env.fs.list(path);
    const same =
      names.join() === again.join() ||
      LOG_NAMES.every((log) => orderSegments(names, log).join() === orderSegments(again, log).join());
    if (same && !segments.includes(undefined)) return { names, segments: segments as Segment[], older, superseded };
  }
  throw new PapyraError("STORAGE_FAILED", `the files in ${path} kept changing while they were listed`, {
    hint: "is something else than Papyra changing the store, or is one of them a link that leads nowhere?",
    details: { path },
  });
}

/** Those of many files: the looks at them wait for each other only here and there, since a store may have thousands. */
async function segmentsOf(
  env: Env,
  path: string,
  names: readonly string[],
  log: LogName,
): Promise<(Segment | undefined)[]> {
  const found: (Segment | undefined)[] = [];
  for (let from = 0; from < names.length; from += LOOKS_AT_ONCE) {
    const some = names.slice(from, from + LOOKS_AT_ONCE);
    found.push(...(await Promise.all(some.map((name) => segmentOf(env, path, name, log)))));
  }
  return found;
}

async function segmentOf(env: Env, path: string, name: string, log: LogName): Promise<Segment | undefined> {
  const stat = await env.fs.stat(join(path, name));
  if (stat === undefined) return undefined;
  if (stat.kind !== "file") throw noFile(join(path, name));
  const parsed = parseFileName(name);
  return {
    name,
    log,
    bytes: stat.bytes,
    active: parsed.type === "active",
    firstSeq: parsed.type === "closed" ? parsed.firstSeq : undefined,
    id: stat.id,
    changedMs: stat.changedMs,
  };
}

function noFile(path: string): PapyraError {
  return new PapyraError("STORAGE_FAILED", `${path} has the name of a segment and is not a file`, {
    hint: `nobody but you knows what it is: move it out of the store, and put the segment in its place if there was one`,
    details: { path },
  });
}

/**
 * Bytes of the segment that had this name and id. A closed name is that of one segment until it is mended or removed; the
 * active one is passed on. Rejects with STORE_NOT_FOUND when no file of the log is that segment.
 */
export async function* readSegment(
  fs: Fs,
  directory: string,
  segment: { readonly name: string; readonly id: string | undefined },
  from: number,
  to: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { name, id } = segment;
  const parsed = parseFileName(name);
  if (id === undefined || (parsed.type !== "active" && parsed.type !== "closed")) {
    yield* readRange(fs, join(directory, name), from, to);
  } else if (to > from) yield* readAndClose(await openById(fs, directory, name, id, parsed), from, to);
}

/** Opens the segment that had this name and id. Rejects as the above. */
export async function openSegment(fs: Fs, directory: string, name: string, id: string): Promise<OpenSegment> {
  const parsed = parseFileName(name);
  const known = parsed.type === "active" || parsed.type === "closed";
  const file = known ? await openById(fs, directory, name, id, parsed) : await fs.open(join(directory, name), "read");
  return { read: (from, to) => readOpen(file, from, to), close: () => file.close() };
}

async function openById(
  fs: Fs,
  directory: string,
  name: string,
  id: string,
  { type, log }: { readonly type: "active" | "closed"; readonly log: LogName },
): Promise<OpenFile> {
  const named = await openIf(fs, join(directory, name), id);
  if (named !== undefined) return named;
  const others = type === "active" ? orderSegments(await fs.list(directory), log) : [];
  const closed = others.filter((other) => other !== name);
  for (const other of closed.reverse()) {
    if ((await fs.stat(join(directory, other)))?.id !== id) continue;
    const file = await openIf(fs, join(directory, other), id);
    if (file !== undefined) return file;
  }
  throw new PapyraError("STORE_NOT_FOUND", `${join(directory, name)} was removed or replaced since it was listed`, {
    hint: "compaction or recovery may have replaced it: run the command again",
    details: { path: join(directory, name) },
  });
}

/** The file at a path if it is the one with this id. */
async function openIf(fs: Fs, path: string, id: string): Promise<OpenFile | undefined> {
  let file: OpenFile;
  try {
    file = await fs.open(path, "read");
  } catch (error) {
    if (isPapyraError(error, "STORE_NOT_FOUND")) return undefined; // between its closing and the next one's beginning
    throw error;
  }
  try {
    if ((await file.stat()).id === id) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}
