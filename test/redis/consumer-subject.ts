// A store with records to follow, and a consumer of it.
import type { Env } from "../../src/env/env.ts";
import {
  consumerGroup,
  type ConsumeOptions,
  type ConsumerGroup,
  type Delivery,
  redisStore,
} from "../../src/redis/index.ts";
import { event, withStore } from "../../src/testing/contract-subject.ts";
import { QUICK } from "./history.ts";
import { uniqueSystem } from "./subject.ts";

export interface Followed {
  readonly systemId: string;
  readonly key: string;
  readonly consumer: (name: string, more?: object, env?: Env) => ConsumerGroup;
  /** Appends events that are numbered from one to another. */
  readonly append: (from: number, to: number) => Promise<void>;
}

export function followed(url: string): Followed {
  const systemId = uniqueSystem();
  return {
    systemId,
    key: `papyra:${systemId}:events`,
    consumer: (consumer, more = {}, ...env) =>
      consumerGroup({ url, systemId, log: "events", group: "tool", consumer, ...QUICK, ...more }, ...env),
    append: (from, to) =>
      withStore(redisStore({ url, systemId, segmentBytes: 4096 }), async (store) => {
        for (let n = from; n <= to; n++) await store.append("events", [event(n)]);
      }),
  };
}

/** Everything that is handed out until nothing is left. */
export async function drain(consumer: ConsumerGroup, options: ConsumeOptions = {}): Promise<Delivery[]> {
  const all: Delivery[] = [];
  for await (const delivery of consumer.consume({ follow: false, ...options })) all.push(delivery);
  return all;
}

export const seqsOf = (deliveries: readonly Delivery[]): (number | string)[] =>
  deliveries.map((delivery) => (delivery.type === "record" ? delivery.seq : delivery.type));

export const idsOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ id }) => id);

export const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
