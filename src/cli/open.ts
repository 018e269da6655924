// From a path to a backend: one of the two places where the real world is joined to a store (the other is index.ts).
import { basename, dirname } from "node:path";
import type { Backend } from "../backends/backend.ts";
import type { FileStoreOptions } from "../backends/file-options.ts";
import { fileBackend } from "../backends/files.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import type { LogName } from "../log/record.ts";
import { parseFileName } from "../log/segments.ts";

/** What a path stands for. */
export interface Opened {
  readonly backend: Backend;
  /** The log that the path names, when it is one of its files; undefined for a store and for a lone file. */
  readonly log: LogName | undefined;
  /** The path is a file whose name is not that of a log: read alone, and never appended to. */
  readonly lone: boolean;
  /** The path itself, for commands to run next. */
  readonly path: string;
}

/**
 * A directory is a store. A file that has the name of a log's segment is that log with all its segments. Any other file
 * is a lone log. Rejects with STORE_NOT_FOUND: what is not there is never healthy.
 */
export async function openPath(env: Env, path: string, options: Omit<FileStoreOptions, "path">): Promise<Opened> {
  const stat = await env.fs.stat(path);
  if (stat === undefined) {
    throw new PapyraError("STORE_NOT_FOUND", `there is nothing at ${path}`, {
      hint: "check the path; name a store directory or one of its .ndjson files with --path, PAPYRA_PATH or papyra.config",
      details: { path },
    });
  }
  if (stat.kind === "directory") {
    await assertStore(env, path);
    return { backend: fileBackend({ ...options, path }, env), log: undefined, lone: false, path };
  }
  const parsed = parseFileName(basename(path));
  switch (parsed.type) {
    case "active":
    case "closed":
      return { backend: fileBackend({ ...options, path: dirname(path) }, env), log: parsed.log, lone: false, path };
    case "store":
    case "lock":
    case "mark":
      throw new PapyraError("OPTION_INVALID", `${path} belongs to a store and is no log`, {
        hint: `name the store: --path ${dirname(path)}`,
        details: { path },
      });
    default:
      return { backend: fileBackend({ ...options, path }, env), log: undefined, lone: true, path };
  }
}

/** A directory with logs under other names (the Python Papyra lets one choose) is told from an empty one. */
async function assertStore(env: Env, path: string): Promise<void> {
  const names = await env.fs.list(path);
  if (names.some((name) => ["store", "active", "closed"].includes(parseFileName(name).type))) return;
  const logs = names.filter((name) => /\.(ndjson|jsonl|log)(\.\d+)?$/.test(name)).slice(0, 5);
  throw new PapyraError("STORE_NOT_FOUND", `there is no store in ${path}`, {
    hint:
      logs.length === 0
        ? "check the path; a store holds papyra.json and events.ndjson"
        : `to read a single file, name it: --path ${path}/${logs[0]} (there are ${logs.join(", ")})`,
    details: { path, files: logs },
  });
}
