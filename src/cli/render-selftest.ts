// The self-test of a disk -> text: the verdict, what was measured, what holds, and what it means. Pure.
import type { Latency } from "../ops/latency.ts";
import { shownMs } from "../ops/selftest-durability.ts";
import type { SelftestReport } from "../ops/selftest-report.ts";
import type { Paint } from "./io.ts";
import { lines, verdictLine } from "./render.ts";
import { printable, table } from "./text.ts";

export function renderSelftest(report: SelftestReport, paint: Paint): string {
  const { volume, findings, durability, unknowable, crash } = report;
  return lines(
    verdictLine(report.ok ? "good" : "bad", report.verdict, paint),
    `path: ${printable(report.path)}`,
    `file system: ${volume.name}, ${volume.freeBytes} bytes free`,
    "",
    ...table(["call", "count", "p50", "p99", "max"], latencies(report), ["count", "p50", "p99", "max"]),
    `group commit: ${report.throughput.recordsPerSecond} durable records/s, ${report.throughput.writers} writers, ${report.throughput.batches} batches`,
    `crashes: ${crash.rounds} rounds, ${crash.tornTails} torn tails, ${crash.sealedSegments} closed segments, ${crash.recoveries} recoveries`,
    `clocks: steps of ${step(report.clock.wallStepMs)} (wall) and ${step(report.clock.monotonicStepMs)} (monotonic)`,
    "",
    ...findings.map(({ name, verdict, detail }) => {
      const style = verdict === "good" ? "good" : verdict === "bad" ? "bad" : "bold";
      return `${paint(style, verdict.padEnd(4))} ${name}: ${printable(detail)}`;
    }),
    "",
    "What this disk gives:",
    ...durability.text.map((sentence) => `- ${sentence}`),
    "What no software can tell:",
    ...unknowable.map((sentence) => `- ${sentence}`),
  );
}

function latencies({ sync, directory, throughput }: SelftestReport): string[][] {
  const row = (name: string, { count, p50Ms, p99Ms, maxMs }: Latency): string[] => [
    name,
    String(count),
    ...[p50Ms, p99Ms, maxMs].map(shownMs),
  ];
  return [
    row("sync of a file", sync),
    ...(directory.sync === undefined ? [] : [row("new name + sync of its directory", directory.sync)]),
    row("append, until it is durable", throughput.ack),
  ];
}

function step(ms: number | undefined): string {
  return ms === undefined ? "no size (it stood still)" : shownMs(ms);
}
