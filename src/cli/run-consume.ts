// consume: records -> lines on stdout, acknowledged once the system has taken them. Whoever reads may go away at any moment; what
// was not taken by then stays pending.
import { PapyraError } from "../errors.ts";
import type { LogName } from "../log/record.ts";
import type { Delivery, GroupStart } from "../redis/index.ts";
import type { RedisStoreOptions } from "../redis/options.ts";
import type { Context, Outcome } from "./context.ts";
import { lines } from "./render.ts";
import { printable } from "./text.ts";

export interface ConsumeReport {
  /** Nothing was damaged or deleted. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly log: LogName;
  readonly group: string;
  readonly consumer: string;
  /** The group was made by this run. */
  readonly created: boolean;
  readonly written: number;
  /** Of these, how many had been given out before. */
  readonly redelivered: number;
  readonly acknowledged: number;
  /** Lines that do not verify, and entries that somebody deleted: written, and not acknowledged. */
  readonly damaged: number;
  readonly deleted: number;
  readonly lastSeq: number | undefined;
  /** Why it ended: everything was handed out, the limit was reached, or nobody reads any more. */
  readonly ended: "end" | "limit" | "reader gone";
}

export async function runConsume(context: Context): Promise<Outcome> {
  const { options, signal } = context;
  const { group, log, consumer } = await groupOf(context);
  const from = context.given("from");
  const created = from === undefined ? false : (await group.ensure({ from: startOf(from) })).created;
  const limit = options.limit as number | undefined;
  const count = { written: 0, redelivered: 0, acknowledged: 0, damaged: 0, deleted: 0 };
  let lastSeq: number | undefined;
  let ended: ConsumeReport["ended"] = "end";
  const wanted = {
    batch: options.batch as number,
    claimIdleMs: options.claimIdle as number,
    follow: options.follow === true,
    signal,
    ...(limit === undefined ? {} : { limit }),
  };
  for await (const batch of group.batches(wanted)) {
    if (!(await context.io.stdout.written(batch.map(lineOf).join("")))) {
      ended = "reader gone";
      break;
    }
    const records = batch.filter(({ type }) => type === "record");
    await group.ack(records.map(({ id }) => id));
    count.written += batch.length;
    count.acknowledged += records.length;
    for (const delivery of batch) {
      if (delivery.redelivered) count.redelivered += 1;
      if (delivery.type === "record") lastSeq = Math.max(lastSeq ?? 0, delivery.seq);
      else count[delivery.type] += 1;
    }
  }
  if (count.written === limit) ended = "limit";
  const { damaged, deleted } = count;
  const ok = damaged + deleted === 0;
  const bad = ok ? "" : `; ${damaged} damaged and ${deleted} deleted, not acknowledged`;
  const verdict = `${count.acknowledged} records of ${log} written and acknowledged for ${group.name}${bad}`;
  const report: ConsumeReport = { ok, verdict, log, group: group.name, consumer, created, ...count, lastSeq, ended };
  const hint = ok ? [] : ["Next: papyra persistence scan"];
  const gone = ended === "reader gone" ? ["nobody reads any more; what was not taken stays pending"] : [];
  const made = created ? [`made the group ${printable(group.name)}, from ${printable(from as string)}`] : [];
  return {
    exit: ok ? 0 : 2,
    verdict,
    report,
    text: () => lines(...made, printable(verdict), ...gone, ...hint),
  };
}

/** The group that is named, as an object. */
export async function groupOf(context: Context) {
  const { consumerGroup } = await import("../redis/index.ts");
  const log = (context.given("log") as string).replace("-", "_") as LogName;
  const consumer = context.given("consumer") ?? context.env.host.name;
  const name = context.given("group") as string;
  const group = consumerGroup({ ...storeOf(await context.redis()), log, group: name, consumer }, context.env);
  return { group, log, consumer };
}

/** Of the options of a store, those that say where it is. */
function storeOf(
  store: RedisStoreOptions,
): Pick<RedisStoreOptions, "url" | "client" | "prefix" | "systemId" | "hashTag"> {
  const { url, client, prefix, systemId, hashTag } = store;
  const named = Object.entries({ url, client, prefix, systemId, hashTag }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(named) as Pick<RedisStoreOptions, "systemId">;
}

export function startOf(text: string): GroupStart {
  if (text === "start" || text === "end") return text;
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new PapyraError("OPTION_INVALID", `--from is start, end or a seq, not ${JSON.stringify(text)}`, {
    hint: "give start, end, or the seq of the first record that is wanted",
    details: { option: "--from", value: text },
  });
}

/** One delivery as it stands on stdout. A record is the stored line itself, its checksum included. */
function lineOf(delivery: Delivery): string {
  const { type, id, deliveryCount: deliveries, redelivered } = delivery;
  const given = { id, deliveries, redelivered };
  if (type === "deleted") return `${JSON.stringify({ deleted: true, ...given })}\n`;
  if (type === "damaged")
    return `${JSON.stringify({ damaged: delivery.reason, ...given, bytes: delivery.bytes.toString("base64") })}\n`;
  const head = JSON.stringify({ seq: delivery.seq, ...given });
  return `${head.slice(0, -1)},"record":${delivery.line.toString("utf8", 0, delivery.line.length - 1)}}\n`;
}
