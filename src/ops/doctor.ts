// Doctor: whether this machine can keep a store, and whether the store is safe to start on. Changes nothing, unless the
// mode is "recover".
import { dirname } from "node:path";
import type { Backend, BackendFact } from "../backends/backend.ts";
import { ensureError, isPapyraError } from "../errors.ts";
import { startupCheck, type StartupMode, type StartupReport } from "./startup.ts";

export interface DoctorOptions {
  readonly mode: StartupMode;
  readonly quarantineDir?: string | undefined;
  /** The version of Node and the platform, as the process knows them. */
  readonly node: string;
  readonly platform: string;
  /** Where the durability policy was named. */
  readonly policySource: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** One thing that was looked at. */
export interface DoctorFact {
  readonly name:
    | BackendFact["name"]
    | "node"
    | "storage"
    | "durability"
    | "kernel lock"
    | "directory sync"
    | "writer"
    | "identity";
  /** "warn": nothing is refused, and it could be better; "note": neither good nor bad. */
  readonly verdict: "good" | "bad" | "warn" | "note";
  readonly detail: string;
  /** What to do about it. */
  readonly hint: string | undefined;
}

export interface DoctorReport {
  /** No bad fact, and nothing that is a reason not to start. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly path: string;
  readonly facts: readonly DoctorFact[];
  readonly startup: StartupReport;
}

/** Node before this does not load what Papyra needs. */
const NODE_MIN = [20, 19] as const;

/** Rejects with STORE_NOT_FOUND, FORMAT_UNKNOWN, STORE_LOCKED (mode "recover"), STORAGE_FAILED, or the signal's reason. */
export async function doctor(backend: Backend, options: DoctorOptions): Promise<DoctorReport> {
  const { mode, quarantineDir, signal, onProgress } = options;
  const view = await backend.view();
  const facts: DoctorFact[] = [nodeFact(options), fact("storage", "good", `${backend.kind} at ${backend.location}`)];
  facts.push(...((await backend.examine?.()) ?? []));
  facts.push(fact("durability", "note", `${backend.durability} (by ${options.policySource})`));
  const segment = view.segments[0];
  const lone = view.segments.some((candidate) => candidate.log === undefined);
  const directory = lone ? dirname(backend.location) : backend.location;
  if (backend.kind === "files") {
    if (segment !== undefined)
      facts.push(await lockFact(backend, lone ? backend.location : `${directory}/${segment.name}`));
    facts.push(await syncFact(backend, directory));
  }
  const { writer, identity } = view;
  facts.push(
    writer === undefined
      ? fact("writer", "note", "nobody writes at this moment")
      : fact(
          "writer",
          "note",
          `pid ${writer.pid} on ${writer.host} since ${new Date(writer.sinceMs).toISOString()} (${writer.purpose})`,
        ),
  );
  if (identity === undefined)
    facts.push(fact("identity", "note", "none: the lines have no checksums, and Papyra never appends to them"));
  else if (view.identityRecorded)
    facts.push(fact("identity", "good", `store ${identity.store}, lineage ${identity.lineage}`));
  else
    facts.push(
      fact(
        "identity",
        "note",
        `store ${identity.store}, lineage ${identity.lineage}, by the logs: papyra.json is missing or damaged`,
      ),
    );
  const startup = await startupCheck(backend, { mode, quarantineDir, signal, onProgress });
  const bad = facts.filter((one) => one.verdict === "bad");
  const tolerant = mode === "ignore" || mode === "scan_only";
  return {
    ok: startup.ok && (tolerant || bad.length === 0),
    verdict:
      bad.length === 0
        ? startup.verdict
        : `${bad.map((one) => one.name).join(", ")}: not as it must be; ${startup.verdict}`,
    path: backend.location,
    facts,
    startup,
  };
}

function fact(name: DoctorFact["name"], verdict: DoctorFact["verdict"], detail: string, hint?: string): DoctorFact {
  return { name, verdict, detail, hint };
}

function nodeFact({ node, platform }: DoctorOptions): DoctorFact {
  const [major = 0, minor = 0] = node.replace(/^v/, "").split(".").map(Number);
  const enough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  const detail = `${node} on ${platform}`;
  return enough ? fact("node", "good", detail) : fact("node", "bad", detail, `use Node ${NODE_MIN.join(".")} or later`);
}

/** Asks for a shared lock on a file that nobody locks, so that a writer never meets it. */
async function lockFact(backend: Backend, file: string): Promise<DoctorFact> {
  try {
    const lock = await backend.env.fs.lock(file, "shared");
    await lock?.release();
    return fact("kernel lock", "good", "it loads and works here");
  } catch (thrown) {
    const error = ensureError(thrown);
    return fact("kernel lock", "bad", error.message, isPapyraError(error) ? error.hint : undefined);
  }
}

async function syncFact(backend: Backend, directory: string): Promise<DoctorFact> {
  try {
    await backend.env.fs.syncDir(directory);
    return fact("directory sync", "good", "the file system makes names durable when asked");
  } catch (thrown) {
    const { message } = ensureError(thrown);
    return fact("directory sync", "bad", message, "keep the store on a local file system that can fsync a directory");
  }
}
