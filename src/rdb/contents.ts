// What a store in a scratch server has: the facts that a manifest keeps, and that a drill compares with it.
import { createHash } from "node:crypto";
import type { Backend, StoreView } from "../backends/backend.ts";
import { groupDifference } from "../backup/restore-groups.ts";
import type { BackedUpLog, Manifest, ServerFile } from "../backup/manifest.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { type LogReport, scanView } from "../ops/scan.ts";

export interface Contents {
  readonly identity: NonNullable<StoreView["identity"]>;
  readonly logs: Manifest["logs"];
  readonly digests: ServerFile["digests"];
  /** In words. */
  readonly anomalies: readonly string[];
  readonly verdict: string;
  readonly records: number;
}

const ANOMALIES_MAX = 20;

/** Reads every line. Rejects with STORE_NOT_FOUND when the store is not in it, naming `what` was loaded; or the signal's reason. */
export async function contentsOf(backend: Backend, what: string, signal?: AbortSignal): Promise<Contents> {
  const view = await lookInto(backend, what);
  const { identity } = view;
  const report = await scanView(backend, view, { signal, anomaliesMax: ANOMALIES_MAX });
  const logs = {} as Record<LogName, BackedUpLog>;
  const digests = {} as Record<LogName, string>;
  for (const log of LOG_NAMES) {
    logs[log] = factsOf(
      report.logs.find((one) => one.log === log),
      view.groups?.[log],
    );
    digests[log] = await digestOf(backend, view, log, signal);
  }
  const anomalies = report.anomalies.map(({ file, offset, detail }) => `${file} at byte ${offset}: ${detail}`);
  const records = LOG_NAMES.reduce((sum, log) => sum + logs[log].records, 0);
  return { identity, logs, digests, anomalies, verdict: report.verdict, records };
}

async function lookInto(backend: Backend, what: string) {
  const [, database = "0", store] = /^\w+:\/\/[^/]*\/(?:(\d+)\/)?(.*)$/.exec(backend.location) ?? [];
  try {
    const view = (await backend.viewWithGroups?.()) ?? (await backend.view());
    const { identity } = view;
    if (identity !== undefined) return { ...view, identity };
  } catch (error) {
    if (!isPapyraError(error, "STORE_NOT_FOUND")) throw error;
  }
  throw new PapyraError("STORE_NOT_FOUND", `there is no store ${store} in database ${database} of ${what}`, {
    hint: "check --prefix and --system, and the database in the URL (redis://HOST:PORT/1)",
  });
}

function factsOf(report: LogReport | undefined, groups: BackedUpLog["groups"]): BackedUpLog {
  return {
    records: report?.records ?? 0,
    first_seq: report?.firstSeq ?? null,
    last_seq: report?.lastSeq ?? 0,
    first_timestamp: report?.firstTimestamp ?? null,
    last_timestamp: report?.lastTimestamp ?? null,
    segments: [],
    ...(groups === undefined ? {} : { groups }),
  };
}

async function digestOf(
  backend: Backend,
  view: StoreView,
  log: LogName,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash("sha256");
  for (const { name, id, bytes } of view.segments.filter((segment) => segment.log === log)) {
    for await (const chunk of backend.read(name, 0, bytes, id)) {
      signal?.throwIfAborted();
      hash.update(chunk);
    }
  }
  return hash.digest("hex");
}

/** How far each log was acknowledged. */
export type Reached = Readonly<Partial<Record<LogName, number>>>;

/** A log that does not reach so far, in words. */
export function behind({ logs }: Contents, reached: Reached): string | undefined {
  const log = LOG_NAMES.find((name) => logs[name].last_seq < (reached[name] ?? 0));
  if (log === undefined) return undefined;
  return `it ends at seq ${logs[log].last_seq} of ${log}, and seq ${reached[log]} was acknowledged before`;
}

/** The first thing in which a store differs from its manifest, in words. */
export function differenceTo(
  manifest: Manifest & { readonly server_file: ServerFile },
  found: Contents,
): string | undefined {
  const { store, lineage, verdict, server_file: file } = manifest;
  const { identity } = found;
  if (identity.store !== store || identity.lineage !== lineage)
    return `it holds store ${identity.store}, lineage ${identity.lineage}, instead of store ${store}, lineage ${lineage}`;
  for (const log of LOG_NAMES) {
    const [was, is] = [manifest.logs[log], found.logs[log]];
    if (was.last_seq !== is.last_seq) return `${log} ends at seq ${is.last_seq} instead of ${was.last_seq}`;
    if (was.records !== is.records) return `${log} has ${is.records} records instead of ${was.records}`;
    if (file.digests[log] !== found.digests[log]) return `the lines of ${log} are others than they were`;
    const group = groupDifference(was.groups ?? [], is.groups ?? []);
    if (group !== undefined) return `the consumer groups of ${log} are others than they were: ${group}`;
  }
  return verdict === "good" && found.anomalies.length > 0 ? found.verdict : undefined;
}
