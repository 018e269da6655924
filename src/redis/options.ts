// The options of a Redis store, checked.
import type { StoreLimits } from "../backends/limits.ts";
import { LIMITS_DEFAULT, resolveLimits } from "../backends/limits.ts";
import { PapyraError } from "../errors.ts";
import { oneOf, refuseUnknown, text, wholeNumber } from "../options.ts";

/** A client of the package `redis`, of which only the settings are used: Papyra makes connections of its own. */
export interface RedisClientLike {
  duplicate(overrides?: never): unknown;
}

/**
 * What the server must promise before anything is written. "power-cut": every acknowledged write is on its disk
 * (`appendfsync always`). "crash": it writes an append-only file. "none": whatever it does.
 */
export type RequiredDurability = "none" | "crash" | "power-cut";

export interface RedisTiming {
  /** After so many milliseconds without an answer the connection is given up and the command asked again. 50 to 600,000. Default 5,000. */
  readonly commandTimeoutMs: number;
  /** So long a command is asked again before its outcome is given up as unknown, in milliseconds. 100 to 3,600,000. Default 30,000. */
  readonly outcomeTimeoutMs: number;
  /** So long after its last sign of life a writer is taken for dead, in milliseconds. 200 to 600,000. Default 10,000. */
  readonly leaseMs: number;
}

/** Options of a Redis store. Exactly one of `url` and `client`. */
export interface RedisStoreOptions extends Partial<StoreLimits>, Partial<RedisTiming> {
  /** `redis://[user[:password]@]host[:port][/database]`, or `rediss://` with TLS. Of a cluster: any of its nodes. */
  readonly url?: string;
  /** A client of the package `redis`, made by `createClient`: its address, credentials and TLS settings are used. */
  readonly client?: RedisClientLike;
  /** The first part of every key. Default "papyra". */
  readonly prefix?: string;
  /** Which system on this server; the second part of every key. Without `{`, `}`, `:` and spaces. */
  readonly systemId: string;
  /** Puts prefix and system into a hash tag, so that a cluster keeps all keys of the store in one slot. Default false. */
  readonly hashTag?: boolean;
  /** Refuses to write on a server that promises less. Default "none". */
  readonly requireDurability?: RequiredDurability;
  /** Refuses to write on a server with fewer replicas connected. 0 to 100. Default 0. */
  readonly requireReplicas?: number;
  /**
   * A file on this machine in which the writer notes once in a while how far the logs reached: a server that comes back
   * empty or older is then refused. Default: none.
   */
  readonly witness?: string;
  /**
   * Lets compaction take out what a consumer group has not read, or not acknowledged. Default false: compaction is refused with
   * GROUP_BEHIND until the group has come along.
   */
  readonly compactUnread?: boolean;
}

export interface ResolvedRedisOptions {
  readonly url: string | undefined;
  readonly client: RedisClientLike | undefined;
  /** What all keys begin with. */
  readonly base: string;
  readonly prefix: string;
  readonly systemId: string;
  readonly hashTag: boolean;
  /** Without credentials. */
  readonly address: string;
  readonly requireDurability: RequiredDurability;
  readonly requireReplicas: number;
  readonly witness: string | undefined;
  readonly compactUnread: boolean;
  readonly timing: RedisTiming;
  readonly limits: StoreLimits;
}

const OWN = "url client prefix systemId hashTag requireDurability requireReplicas witness compactUnread".split(" ");
const TIMES = ["commandTimeoutMs", "outcomeTimeoutMs", "leaseMs"];
const KNOWN = [...OWN, ...TIMES, ...Object.keys(LIMITS_DEFAULT)];
/** One batch is one script, and the server does nothing else meanwhile. */
const BATCH_BYTES = 1 << 20;

export function resolveRedisOptions(options: RedisStoreOptions): ResolvedRedisOptions {
  refuseUnknown("redisStore", options, KNOWN);
  const { url, client, hashTag = false, witness, compactUnread = false } = options;
  if ((url === undefined) === (client === undefined)) throw invalid("url", "name either `url` or `client`");
  const prefix = options.prefix === undefined ? "papyra" : text("prefix", options.prefix);
  const systemId = text("systemId", options.systemId);
  if (/[{}:/\s]/.test(systemId))
    throw invalid("systemId", `\`systemId\` has no braces, colons, slashes or spaces: ${systemId}`);
  if (/[/\s]/.test(prefix)) throw invalid("prefix", `\`prefix\` has no slashes or spaces: ${prefix}`);
  if (typeof hashTag !== "boolean") throw invalid("hashTag", "`hashTag` is true or false");
  if (typeof compactUnread !== "boolean") throw invalid("compactUnread", "`compactUnread` is true or false");
  if (hashTag && /[{}]/.test(prefix)) throw invalid("prefix", "with `hashTag` the prefix has no braces");
  if (witness !== undefined) text("witness", witness);
  const timing = {
    commandTimeoutMs: wholeNumber("commandTimeoutMs", options.commandTimeoutMs, 5000, 50, 600_000),
    outcomeTimeoutMs: wholeNumber("outcomeTimeoutMs", options.outcomeTimeoutMs, 30_000, 100, 3_600_000),
    leaseMs: wholeNumber("leaseMs", options.leaseMs, 10_000, 200, 600_000),
  };
  return {
    url,
    client,
    prefix,
    systemId,
    hashTag,
    base: hashTag ? `{${prefix}:${systemId}}` : `${prefix}:${systemId}`,
    address: addressOf(url ?? urlOf(client)),
    requireDurability: oneOf("requireDurability", options.requireDurability, "none", ["none", "crash", "power-cut"]),
    requireReplicas: wholeNumber("requireReplicas", options.requireReplicas, 0, 0, 100),
    witness,
    compactUnread,
    timing,
    limits: resolveLimits({ ...options, batchBytesMax: options.batchBytesMax ?? BATCH_BYTES }),
  };
}

/** Where a client connects to, as far as its settings say. */
function urlOf(client: unknown): string {
  interface Settings {
    readonly database?: number;
    readonly socket?: { readonly host?: string; readonly port?: number; readonly tls?: boolean };
  }
  const { options } = client as { readonly options?: Settings };
  // Clients of a cluster, pools and the like do not say where they connect to.
  if (options === undefined)
    throw invalid("client", "`client` is not one that createClient made; of a cluster give the `url` of any node");
  const { socket, database } = options;
  const scheme = socket?.tls === true ? "rediss" : "redis";
  return `${scheme}://${socket?.host ?? "localhost"}:${socket?.port ?? 6379}/${database ?? ""}`;
}

/** The URL without what must not be shown. */
function addressOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(text("url", url));
  } catch {
    throw invalid("url", "`url` is no URL; it looks like redis://localhost:6379");
  }
  if (parsed.protocol !== "redis:" && parsed.protocol !== "rediss:")
    throw invalid("url", `\`url\` begins with redis:// or rediss://, not ${parsed.protocol}//`);
  const database = parsed.pathname === "/" ? "" : parsed.pathname;
  return `${parsed.protocol}//${parsed.hostname}:${parsed.port === "" ? "6379" : parsed.port}${database}`;
}

function invalid(option: string, message: string): PapyraError {
  return new PapyraError("OPTION_INVALID", message, { details: { option } });
}
