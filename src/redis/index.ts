// The public surface of "papyra/redis". Nothing else of Papyra imports it but the command line, when it is asked to.
import type { Backend } from "../backends/backend.ts";
import type { Env } from "../env/env.ts";
import { nodeEnv } from "../env/node.ts";
import { redisBackend } from "./backend.ts";
import { connectionTo, locationOf } from "./connect.ts";
import type { ConsumerGroupOptions } from "./consumer-options.ts";
import { ConsumerGroup } from "./consumers.ts";
import { type LogFacts, storeFacts } from "./group-facts.ts";
import { keysOf } from "./keys.ts";
import { type RedisStoreOptions, resolveRedisOptions } from "./options.ts";

export type { ConsumeOptions, ConsumerGroupOptions, GroupStart } from "./consumer-options.ts";
export type { ConsumerGroup, PrunedConsumer } from "./consumers.ts";
export type { DamagedDelivery, DeletedDelivery, Delivery, RecordDelivery } from "./delivery.ts";
export type { ConsumerFacts, GroupFacts, LogFacts, PendingSummary } from "./group-facts.ts";
export type { RedisClientLike, RedisStoreOptions, RedisTiming, RequiredDurability } from "./options.ts";

/**
 * A store in the streams of a Redis (7.0 or later) or Valkey server. Connects when it is first used; needs the package
 * `redis`. Rejects with OPTION_INVALID. What an acknowledgement means is what the server is set to: see docs/backends.md.
 */
export function redisStore(options: RedisStoreOptions, env: Env = nodeEnv): Backend {
  return redisBackend(options, env);
}

/**
 * One consumer of a group that follows a log of a Redis store: every record is delivered at least once, to one consumer of the
 * group, and again until it is acknowledged. Connects when it is first used. Rejects with OPTION_INVALID; what it does with
 * STORE_NOT_FOUND, GROUP_NOT_FOUND, STORAGE_FAILED. docs/consumers.md has the whole.
 *
 * @example
 * ```ts
 * import { consumerGroup } from "papyra/redis";
 * const invoices = consumerGroup({
 *   url: "redis://localhost:6379",
 *   systemId: "orders",
 *   log: "events",
 *   group: "invoices",
 *   consumer: "invoices-1",
 * });
 * await invoices.ensure({ from: "start" });
 * const billed = new Set<number>(); // in the same transaction as the bills
 * for await (const delivery of invoices.consume({ follow: false })) {
 *   if (delivery.type === "record") billed.add(delivery.seq);
 *   await invoices.ack([delivery.id]);
 * }
 * if (!billed.has(1)) throw new Error("the first event is missing");
 * ```
 */
export function consumerGroup(options: ConsumerGroupOptions, env: Env = nodeEnv): ConsumerGroup {
  return new ConsumerGroup(options, env);
}

/**
 * What there is to measure of each log of a Redis store, and of each consumer group: lengths and bytes, lag, what is
 * pending and for how long, consumers. Rejects with STORE_NOT_FOUND.
 */
export async function streamFacts(options: RedisStoreOptions, env: Env = nodeEnv): Promise<readonly LogFacts[]> {
  const resolved = resolveRedisOptions(options);
  const location = locationOf(resolved);
  const connection = connectionTo(resolved, env);
  try {
    return await storeFacts(connection, keysOf(resolved.base), location, env.clock);
  } finally {
    connection.close();
  }
}
