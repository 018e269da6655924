// consumers list, recreate and prune.
import type { GroupFacts, LogFacts, PrunedConsumer } from "../redis/index.ts";
import type { Context, Outcome } from "./context.ts";
import type { Paint } from "./io.ts";
import { lines } from "./render.ts";
import { groupOf, startOf } from "./run-consume.ts";
import { parseSpan } from "./sizes.ts";
import { printable, table } from "./text.ts";

export async function runList(context: Context): Promise<Outcome> {
  const { streamFacts } = await import("../redis/index.ts");
  const logs = await streamFacts(await context.redis(), context.env);
  const groups = logs.flatMap((log) => log.groups);
  const pending = groups.reduce((sum, group) => sum + group.pending, 0);
  const behind = groups.filter(({ lag }) => lag !== 0).length;
  const verdict = `${groups.length} consumer ${groups.length === 1 ? "group" : "groups"}, ${behind} behind, ${pending} entries pending`;
  const report = { ok: true, verdict, logs };
  return { exit: 0, verdict, report, text: (paint) => renderList(verdict, logs, paint) };
}

export async function runRecreate(context: Context): Promise<Outcome> {
  const { group, log } = await groupOf(context);
  const from = context.given("from") as string;
  const dropPending = context.options.dropPending === true;
  const { dropped } = await group.recreate({ from: startOf(from), dropPending });
  const verdict = `${group.name} of ${log} goes on from ${from}; ${dropped} pending entries were forgotten`;
  const report = { ok: true, verdict, log, group: group.name, from, dropped };
  return { exit: 0, verdict, report, text: () => lines(printable(verdict)) };
}

export async function runPrune(context: Context): Promise<Outcome> {
  const { group, log } = await groupOf(context);
  const idleMs = parseSpan("--idle", context.given("idle") as string);
  const consumers = await group.removeIdle({ idleMs });
  const removed = consumers.filter((one) => one.removed);
  const held = consumers.filter((one) => !one.removed && one.idleMs >= idleMs);
  const verdict = `${removed.length} of ${consumers.length} consumers of ${group.name} removed`;
  const report = { ok: true, verdict, log, group: group.name, consumers };
  const claim =
    held.length === 0 ? [] : ["Next: a consumer of the group claims what they have pending, then prune again"];
  return {
    exit: 0,
    verdict,
    report,
    text: () => lines(printable(verdict), ...removed.map(prunedLine), ...held.map(prunedLine), ...claim),
  };
}

function prunedLine({ consumer, pending, idleMs, removed }: PrunedConsumer): string {
  const what = removed ? "removed" : `stays, ${pending} pending`;
  return `${printable(consumer)}: ${what}, idle for ${secondsOf(idleMs)}`;
}

function renderList(verdict: string, logs: readonly LogFacts[], paint: Paint): string {
  const right = ["ENTRIES", "BYTES", "LAST SEQ", "LAST RECORD", "LAG", "PENDING", "LONGEST", "DELIVERIES", "IDLE"];
  const head = ["LOG", "ENTRIES", "BYTES", "LAST SEQ", "LAST RECORD"];
  const sizes = logs.map(({ log, entries, bytes, lastSeq, lastAgeMs }) => [
    log,
    String(entries),
    String(bytes),
    String(lastSeq ?? "-"),
    lastAgeMs === undefined ? "-" : `${secondsOf(lastAgeMs)} ago`,
  ]);
  const groups = logs.flatMap(({ log, groups: its }) => its.map((group) => groupRow(log, group)));
  const groupHead = ["GROUP", "LOG", "LAG", "PENDING", "OLDEST", "LONGEST", "DELIVERIES"];
  const consumers = logs.flatMap(({ log, groups: its }) =>
    its.flatMap(({ group, consumers: them }) =>
      them.map(({ consumer, pending, idleMs }) => [
        printable(consumer),
        printable(group),
        log,
        String(pending),
        secondsOf(idleMs),
      ]),
    ),
  );
  const section = (titles: readonly string[], rows: readonly string[][]): string[] => {
    if (rows.length === 0) return [];
    const [title = "", ...rest] = table(titles, rows, right);
    return ["", paint("dim", title), ...rest];
  };
  return lines(
    paint("bold", verdict),
    ...section(head, sizes),
    ...section(groupHead, groups),
    ...section(["CONSUMER", "GROUP", "LOG", "PENDING", "IDLE"], consumers),
  );
}

function groupRow(log: string, group: GroupFacts): string[] {
  const { lag, pending, oldestId, longestIdleMs, highestDeliveryCount } = group;
  return [
    printable(group.group),
    log,
    String(lag ?? "unknown"),
    String(pending),
    oldestId ?? "-",
    longestIdleMs === undefined ? "-" : secondsOf(longestIdleMs),
    String(highestDeliveryCount ?? "-"),
  ];
}

function secondsOf(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)}s`;
}
