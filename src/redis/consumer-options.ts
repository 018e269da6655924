// The options of a consumer group, checked.
import { PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { oneOf, refuseUnknown, text, wholeNumber } from "../options.ts";
import { type RedisStoreOptions, type RedisTiming, type ResolvedRedisOptions, resolveRedisOptions } from "./options.ts";

/** A consumer of one group of one log. Exactly one of `url` and `client`. */
export interface ConsumerGroupOptions
  extends Pick<RedisStoreOptions, "url" | "client" | "prefix" | "systemId" | "hashTag">,
    Partial<Pick<RedisTiming, "commandTimeoutMs" | "outcomeTimeoutMs">> {
  readonly log: LogName;
  /** Everything that shares one position in the log: each record goes to one consumer of it. */
  readonly group: string;
  /**
   * Who this is, in the group. The same name after a restart gets what it had not acknowledged first; two at the same time
   * have two names.
   */
  readonly consumer: string;
}

/** Options of {@link ConsumerGroup.consume}. */
export interface ConsumeOptions {
  /** How many entries are asked for at once. 1 to 10,000. Default 100. */
  readonly batch?: number;
  /** Ends after so many deliveries, and takes no more than these. Default: never. */
  readonly limit?: number;
  /** Waits for what comes; false: ends when everything that is there was handed out. Default true. */
  readonly follow?: boolean;
  /** How long the server keeps a question open, in milliseconds. 1 to half of `commandTimeoutMs`. Default 1,000. */
  readonly blockMs?: number;
  /**
   * What was handed out and not acknowledged for so many milliseconds is handed out again, to whoever asks first: its consumer is
   * taken for dead. Longer than handling a batch ever takes. 1 to 2,147,483,647. Default 60,000.
   */
  readonly claimIdleMs?: number;
  /** Ends it with the signal's reason. What was not acknowledged stays pending. */
  readonly signal?: AbortSignal;
}

/** Where a group begins: with the oldest record that is there, with the next one that comes, or with the record of that seq. */
export type GroupStart = "start" | "end" | number;

export interface ResolvedGroup {
  readonly redis: ResolvedRedisOptions;
  readonly log: LogName;
  readonly group: string;
  readonly consumer: string;
}

const STORE = ["url", "client", "prefix", "systemId", "hashTag", "commandTimeoutMs", "outcomeTimeoutMs"] as const;

export function resolveGroup(options: ConsumerGroupOptions): ResolvedGroup {
  refuseUnknown("consumerGroup", options, [...STORE, "log", "group", "consumer"]);
  const { log, group, consumer, ...store } = options;
  if (log === undefined) throw new PapyraError("OPTION_INVALID", "name the `log`", { details: { option: "log" } });
  return {
    redis: resolveRedisOptions(store),
    log: oneOf("log", log, log, LOG_NAMES),
    group: text("group", group),
    consumer: text("consumer", consumer),
  };
}

export type ResolvedConsume = Required<Omit<ConsumeOptions, "signal">> & Pick<ConsumeOptions, "signal">;

export function resolveConsume(options: ConsumeOptions, { commandTimeoutMs }: RedisTiming): ResolvedConsume {
  refuseUnknown("consume", options, ["batch", "limit", "follow", "blockMs", "claimIdleMs", "signal"]);
  const { follow = true, signal } = options;
  if (typeof follow !== "boolean")
    throw new PapyraError("OPTION_INVALID", "`follow` is true or false", { details: { option: "follow" } });
  // A question that is kept open for longer than an answer may take would look like a connection that is dead.
  const blockMost = Math.floor(commandTimeoutMs / 2);
  return {
    batch: wholeNumber("batch", options.batch, 100, 1, 10_000),
    limit: wholeNumber("limit", options.limit, Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER),
    follow,
    blockMs: wholeNumber("blockMs", options.blockMs, Math.min(1000, blockMost), 1, blockMost),
    claimIdleMs: wholeNumber("claimIdleMs", options.claimIdleMs, 60_000, 1, 2 ** 31 - 1),
    ...(signal === undefined ? {} : { signal }),
  };
}

export function resolveStart(from: unknown): GroupStart {
  if (from === "start" || from === "end") return from;
  if (typeof from === "number" && Number.isSafeInteger(from) && from >= 1) return from;
  throw new PapyraError("OPTION_INVALID", `\`from\` is "start", "end" or a seq, not ${JSON.stringify(from)}`, {
    details: { option: "from", value: from },
  });
}

/** Ids of entries, as they were delivered. */
export function checkedIds(ids: readonly string[]): readonly string[] {
  if (!Array.isArray(ids))
    throw new PapyraError("OPTION_INVALID", "ids come as a list", { details: { option: "ids" } });
  const wrong = ids.find((id) => typeof id !== "string" || !/^\d{1,20}-\d{1,20}$/.test(id));
  if (wrong === undefined) return ids;
  throw new PapyraError(
    "OPTION_INVALID",
    `${JSON.stringify(wrong)} is no id of an entry: \`id\` of a delivery is one`,
    {
      details: { option: "ids", value: wrong },
    },
  );
}
