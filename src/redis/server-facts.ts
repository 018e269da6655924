// What the server says of itself: how safely it keeps what it acknowledges. Read when a claim is taken and by doctor; what a
// managed service does not tell is said to be unknown, never guessed.
import type { BackendFact } from "../backends/backend.ts";
import { PapyraError } from "../errors.ts";
import { type Connection, type Reply, ServerError } from "./connection.ts";
import type { ResolvedRedisOptions } from "./options.ts";

export interface ServerFacts {
  /** "Redis 7.0.15", "Valkey 8.0.1". */
  readonly server: string | undefined;
  readonly role: string | undefined;
  readonly appendOnly: boolean | undefined;
  readonly appendFsync: string | undefined;
  readonly lastWriteOk: boolean;
  readonly replicas: number | undefined;
  /** 0: no limit. */
  readonly maxMemory: number | undefined;
  readonly policy: string | undefined;
}

/** `key`: one of the store's; of a cluster, the node that holds it is asked. */
export async function askServer(connection: Connection, key: string): Promise<ServerFacts> {
  await connection.command("EXISTS", key);
  const info = parseInfo(await allowed(connection.command("INFO")));
  const config = (await allowed(connection.command("CONFIG", "GET", "appendfsync"))) as Reply[] | undefined;
  const count = (name: string): number | undefined => {
    const value = info.get(name);
    return value === undefined ? undefined : Number(value);
  };
  const enabled = info.get("aof_enabled");
  return {
    server: serverName(info),
    role: info.get("role"),
    appendOnly: enabled === undefined ? undefined : enabled === "1",
    appendFsync: config?.[1] === undefined ? undefined : String(config[1]),
    lastWriteOk: (info.get("aof_last_write_status") ?? "ok") === "ok",
    replicas: count("connected_slaves"),
    maxMemory: count("maxmemory"),
    policy: info.get("maxmemory_policy"),
  };
}

function serverName(info: ReadonlyMap<string, string>): string | undefined {
  const [valkey, redis] = [info.get("valkey_version"), info.get("redis_version")];
  return valkey !== undefined ? `Valkey ${valkey}` : redis === undefined ? undefined : `Redis ${redis}`;
}

/** How much more the server takes; Infinity when it has no limit of its own, or does not say. */
export async function freeMemory(connection: Connection): Promise<number> {
  const info = parseInfo(await allowed(connection.command("INFO", "memory")));
  const limit = Number(info.get("maxmemory") ?? 0);
  return limit === 0 ? Number.POSITIVE_INFINITY : Math.max(0, limit - Number(info.get("used_memory") ?? 0));
}

/** Undefined where the server does not let this user ask. */
export async function allowed(reply: Promise<Reply>): Promise<Reply | undefined> {
  try {
    return await reply;
  } catch (error) {
    const { cause } = error as PapyraError;
    if (cause instanceof ServerError) return undefined;
    throw error;
  }
}

/** The answer to INFO. */
export function parseInfo(reply: Reply | undefined): Map<string, string> {
  const lines = String(reply ?? "").split("\r\n");
  return new Map(lines.filter((line) => line.includes(":")).map((line) => split(line)));
}

function split(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1)];
}

/** Whether the server throws away keys that nobody asked it to, streams among them. */
function evicts({ maxMemory, policy }: ServerFacts): boolean {
  return policy?.startsWith("allkeys-") === true && maxMemory !== 0;
}

/** What an acknowledgement means on this server. */
export function durabilityOf({ appendOnly, appendFsync, replicas, policy }: ServerFacts): string {
  const fsync =
    appendFsync === "always"
      ? "appendfsync always: an acknowledged record is on the server's disk"
      : appendFsync === "everysec"
        ? "appendfsync everysec: a power cut of the server may lose about the last two seconds"
        : appendFsync === "no"
          ? "appendfsync no: a power cut of the server may lose what its system had not written yet"
          : "appendfsync unknown: the server does not say";
  const kept =
    appendOnly === undefined
      ? "appendonly unknown: the server does not say"
      : appendOnly
        ? `appendonly yes, ${fsync}`
        : "appendonly no: a crash of the server loses everything since its last snapshot";
  return `${kept}; replicas: ${replicas ?? "unknown"}; maxmemory-policy: ${policy ?? "unknown"}`;
}

/** Why the server must not be written to; undefined when it may. */
function objection(facts: ServerFacts, options: ResolvedRedisOptions): { why: string; hint: string } | undefined {
  const { requireDurability, requireReplicas } = options;
  if (evicts(facts)) {
    return {
      why: `maxmemory-policy is ${facts.policy}: when memory is short, the server throws away whole streams`,
      hint: "set maxmemory-policy to noeviction (or one of volatile-*) on the server",
    };
  }
  if (requireDurability !== "none" && facts.appendOnly !== true) {
    const is = facts.appendOnly === false ? "no" : "not told";
    return { why: `appendonly is ${is}, and requireDurability is ${requireDurability}`, hint: "set appendonly yes" };
  }
  if (requireDurability === "power-cut" && facts.appendFsync !== "always") {
    const is = facts.appendFsync ?? "not told";
    return { why: `appendfsync is ${is}, and requireDurability is power-cut`, hint: "set appendfsync always" };
  }
  if (requireDurability !== "none" && !facts.lastWriteOk) {
    return { why: "the last write of the append-only file failed", hint: "look at the server's disk and log" };
  }
  if (requireReplicas > 0 && (facts.replicas ?? 0) < requireReplicas) {
    const is = facts.replicas ?? "not told";
    return {
      why: `connected replicas: ${is}, and requireReplicas is ${requireReplicas}`,
      hint: "connect the replicas",
    };
  }
  return undefined;
}

/** Rejects with DURABILITY_REFUSED. */
export function assertSafe(facts: ServerFacts, options: ResolvedRedisOptions, location: string): void {
  const found = objection(facts, options);
  if (found === undefined) return;
  throw new PapyraError("DURABILITY_REFUSED", `${location} is not written: ${found.why}`, {
    hint: found.hint,
    details: { ...facts },
  });
}

/** For doctor. */
export function examined(facts: ServerFacts, options: ResolvedRedisOptions): BackendFact[] {
  const { server, role } = facts;
  const found = objection(facts, options);
  const about = { name: "server", detail: `${server ?? "unknown version"}, role ${role ?? "unknown"}` } as const;
  return [
    { ...about, verdict: server === undefined ? "note" : "good", hint: undefined },
    found === undefined
      ? { name: "safe keeping", verdict: "good", detail: "nothing against writing to this server", hint: undefined }
      : { name: "safe keeping", verdict: "bad", detail: found.why, hint: found.hint },
    appendOnlyFact(facts),
  ];
}

/** What a crash of the server leaves between two backups: the users' procedure asks for a file that is synced every second, at least. */
function appendOnlyFact({ appendOnly, appendFsync, lastWriteOk }: ServerFacts): BackendFact {
  const name = "append-only file";
  if (appendOnly === undefined) {
    const hint = "ask whoever runs it whether it writes an append-only file, with appendfsync always or everysec";
    return { name, verdict: "note", detail: "the server does not say whether it writes one", hint };
  }
  if (!appendOnly) {
    const detail = "appendonly no: a crash of the server loses everything since its last snapshot";
    return { name, verdict: "warn", detail, hint: "redis-cli CONFIG SET appendonly yes, then CONFIG REWRITE" };
  }
  if (!lastWriteOk)
    return { name, verdict: "warn", detail: "its last write failed", hint: "look at the server's disk and log" };
  const synced = appendFsync === "always" || appendFsync === "everysec";
  if (synced) return { name, verdict: "good", detail: `appendfsync ${appendFsync}`, hint: undefined };
  if (appendFsync === undefined)
    return { name, verdict: "note", detail: "the server does not say how often it is synced", hint: undefined };
  const detail = `appendfsync ${appendFsync}: a power cut loses whatever the server's system had not written yet`;
  return { name, verdict: "warn", detail, hint: "redis-cli CONFIG SET appendfsync everysec, then CONFIG REWRITE" };
}
