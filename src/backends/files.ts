// The file store: NDJSON files in one directory. This file is the reader's side; files-claim.ts is the writer's. A path that is a single file is read as one lone log.
import { leftovers } from "./leftovers.ts";
import { basename, dirname, join } from "node:path";
import { readRange, readStart, replaceDurably, syncAncestors } from "../env/durable.ts";
import type { Env, FileStat } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { acknowledgedIn, reachOf } from "../log/mark.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { parseFileName, STORE_FILE } from "../log/segments.ts";
import {
  type Backend,
  type Claim,
  type ClaimOwner,
  type Segment,
  type StoreFinding,
  type StoreIdentity,
  type StoreView,
} from "./backend.ts";
import { readCacheFile, writeCacheFile } from "./cache-files.ts";
import { type FileStoreOptions, resolveFileOptions } from "./file-options.ts";
import { claimFiles } from "./files-claim.ts";
import { listSegments, openSegment, readSegment } from "./segment-files.ts";
import { lockOwner, takePin } from "./lock.ts";
import { ThreadedLookAhead } from "./segment-threads.ts";
import { readMark } from "./mark-file.ts";
import { decodeStoreFile, identityFromHeads } from "./store-file.ts";

/** More than any papyra.json has. */
const STORE_FILE_BYTES_MAX = 64 << 10;

/** A store in files. Opens nothing until it is asked to. */
export function fileBackend(input: FileStoreOptions, env: Env): Backend {
  const options = resolveFileOptions(input);
  const meaning = {
    fsync: "fsync: an acknowledged record is on the disk",
    interval: `interval: a crash of the machine may lose the last ${options.intervalMs} ms of acknowledged records`,
    os: "os: a crash of the machine may lose acknowledged records that the operating system had not written yet",
  } as const;
  /** A path may turn out to be a single file: then its directory is where everything happens. */
  const place: { directory: string; lone: string | undefined } = { directory: options.path, lone: undefined };
  const locate = async (): Promise<FileStat | undefined> => {
    const stat = await env.fs.stat(options.path);
    const lone = stat?.kind === "file";
    place.directory = lone ? dirname(options.path) : options.path;
    place.lone = lone ? basename(options.path) : undefined;
    return stat;
  };
  const look = async (writer: "ask" | "none", newest?: number): Promise<StoreView> => {
    const stat = await locate();
    if (stat === undefined) throw notFound(options.path, "there is nothing at");
    if (place.lone !== undefined) return loneView(place.lone, stat);
    if (stat.kind !== "directory") throw notFound(options.path, "neither a directory nor a file is at");
    return viewDirectory(env, options.path, writer === "ask" ? await lockOwner(env, options.path) : undefined, newest);
  };
  const { startThread } = env;
  return {
    ...(startThread === undefined ? {} : { lookAhead: lookAheadBy(startThread, () => place.directory) }),
    kind: "files",
    location: options.path,
    durability: `${meaning[options.durability]}; mark: ${options.mark}`,
    limits: options.limits,
    env,
    view: (newest) => look("ask", newest),
    read: (segment, from, to, id) => readSegment(env.fs, place.directory, { name: segment, id }, from, to),
    openSegment: (segment, id) => openSegment(env.fs, place.directory, segment, id),
    async quarantine(target, files) {
      await env.fs.makeDir(target);
      for (const [name, content] of files) {
        await replaceDurably(env.fs, env.random, join(target, name), async (append) => {
          for await (const bytes of content) await append(bytes);
        });
      }
      await syncAncestors(env.fs, target);
    },
    async *readKept(directory, file) {
      const path = join(directory, file);
      const stat = await env.fs.stat(path);
      if (stat === undefined) throw notFound(path, "nothing is kept at");
      yield* readRange(env.fs, path, 0, stat.bytes);
    },
    readCache: (name, use) => readCacheFile(env.fs, place.directory, name, use),
    writeCache: (name, bytes) => writeCacheFile(env.fs, place.directory, name, bytes),
    async freeBytes() {
      await locate();
      return env.fs.freeBytes(place.directory);
    },
    async pin(purpose) {
      await locate();
      return takePin(env, place.directory, purpose);
    },
    async claim(purpose): Promise<Claim> {
      await locate();
      return claimFiles(env, place.directory, options, purpose, (newest) => look("none", newest));
    },
  };
}

function lookAheadBy(
  start: NonNullable<Env["startThread"]>,
  directory: () => string,
): NonNullable<Backend["lookAhead"]> {
  return (segments, threads) =>
    new ThreadedLookAhead(
      () => start(new URL("whole-segment-thread.js", import.meta.url)),
      threads,
      segments.map(([{ name, id, bytes, firstSeq = 0 }, identity]) => ({
        directory: directory(),
        name,
        id,
        bytes,
        firstSeq,
        identity,
      })),
    );
}

function notFound(path: string, what: string): PapyraError {
  return new PapyraError("STORE_NOT_FOUND", `${what} ${path}`, {
    hint: "check the path; name a store directory or one of its .ndjson files with --path",
    details: { path },
  });
}

/** A single file under a name that is not a log's: nothing is known about it but its bytes. */
function loneView(name: string, { bytes, id }: FileStat): StoreView {
  return {
    identity: undefined,
    identityRecorded: false,
    writer: undefined,
    segments: [{ name, log: undefined, bytes, active: true, firstSeq: undefined, id }],
    superseded: [],
    findings: [],
    reach: () => undefined,
  };
}

async function viewDirectory(
  env: Env,
  path: string,
  writer: ClaimOwner | undefined,
  newest?: number,
): Promise<StoreView> {
  const mark = await readMark(env, path); // before the listing: what it vouches for is in what is listed
  const { names, segments, superseded, older } = await listSegments(env, path, newest);
  const findings: StoreFinding[] = [];
  for (const name of names) {
    const { type } = parseFileName(name);
    if (type === "unexpected" && !isForeignHousekeeping(name)) {
      findings.push({
        kind: "unexpected-file",
        file: name,
        detail: "no part of the store wrote this; it is left alone",
      });
    }
    if (type === "temporary" && writer === undefined) {
      findings.push({
        kind: "unexpected-file",
        file: name,
        leftover: "temporary",
        detail: "the temporary file of an interrupted run; recovery removes it",
      });
    }
  }
  findings.push(...leftovers(superseded, writer));
  const recorded = names.includes(STORE_FILE) ? await readStoreFile(env, path, findings) : undefined;
  if (recorded === undefined && older) return viewDirectory(env, path, writer); // all of them say who the store is
  const identity = recorded ?? (await rebuildIdentity(env, path, segments));
  for (const log of LOG_NAMES) {
    // The store's own file is made last: where it is, all logs were.
    if (names.includes(STORE_FILE) && !segments.some((segment) => segment.log === log)) {
      findings.push({ kind: "missing-segment", file: `${log}.ndjson`, log, detail: `the log ${log} has no file` });
    }
  }
  if (segments.length === 0 && !names.includes(STORE_FILE)) throw notFound(path, "there is no store in");
  const trusted = mark !== undefined && (identity === undefined || mark.store === identity.store) ? mark : undefined;
  return {
    identity,
    identityRecorded: recorded !== undefined,
    writer,
    segments,
    older,
    superseded,
    findings,
    // Beside a living writer lines that it has not acknowledged yet stand behind what the mark vouches for.
    reach: (log: LogName) =>
      trusted === undefined || writer !== undefined ? undefined : reachOf(trusted, log, env.host.bootId),
    acknowledged: trusted === undefined || writer === undefined ? undefined : acknowledgedIn(trusted),
  };
}

/** Names that the system or an administrator puts into any directory. */
function isForeignHousekeeping(name: string): boolean {
  return name.startsWith(".") || name === "lost+found";
}

async function readStoreFile(env: Env, path: string, findings: StoreFinding[]): Promise<StoreIdentity | undefined> {
  const file = join(path, STORE_FILE);
  const bytes = await readStart(env.fs, file, STORE_FILE_BYTES_MAX);
  const identity = decodeStoreFile(bytes, file);
  if (identity === undefined) {
    const whole = (await env.fs.stat(file))?.bytes ?? 0; // all of it is replaced, and kept
    findings.push({
      kind: "checksum-mismatch",
      file: STORE_FILE,
      detail: "the file is damaged; recovery rebuilds it from the logs",
      bytes: Math.max(whole, bytes.length),
    });
  }
  return identity;
}

async function rebuildIdentity(
  env: Env,
  path: string,
  segments: readonly Segment[],
): Promise<StoreIdentity | undefined> {
  const heads: Buffer[] = [];
  for (const segment of segments) {
    for await (const chunk of readRange(env.fs, join(path, segment.name), 0, Math.min(segment.bytes, 4096)))
      heads.push(Buffer.from(chunk));
  }
  return identityFromHeads(heads);
}
