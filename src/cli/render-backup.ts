// Reports about backups -> text. Pure.
import type { CreateReport } from "../backup/create.ts";
import type { DrillReport } from "../backup/drill.ts";
import type { DrilledGroups } from "../backup/drill-groups.ts";
import type { FrozenCopy } from "../backup/frozen.ts";
import { bytesOf, type Manifest } from "../backup/manifest.ts";
import type { PruneReport } from "../backup/prune.ts";
import type { BackupInfo, RepositoryView } from "../backup/repository.ts";
import type { RestoreReport } from "../backup/restore.ts";
import type { ActorRestoreReport } from "../backup/restore-actor.ts";
import type { RotateKeysReport } from "../backup/rotate-keys.ts";
import type { StatusReport } from "../backup/status.ts";
import type { VerifyReport } from "../backup/verify.ts";
import type { WatchReport } from "../backup/watch.ts";
import { LOG_NAMES } from "../log/record.ts";
import { quoted } from "../quoted.ts";
import type { Paint } from "./io.ts";
import { lines, verdictLine } from "./render.ts";
import { printable, table, timeOf } from "./text.ts";

const SHOWN_MAX = 20;

/** A manifest without its parts. */
export function summaryOf(manifest: Manifest) {
  const { store, lineage, instant, how, verdict, note, server_file: file } = manifest;
  return {
    kind: file?.kind ?? "lines",
    store,
    lineage,
    instant,
    how,
    verdict,
    note,
    bytes: bytesOf(manifest),
    records: recordsOf(manifest),
  };
}

function recordsOf({ logs }: Manifest): number {
  return LOG_NAMES.reduce((sum, log) => sum + logs[log].records, 0);
}

function head(ok: boolean, verdict: string, paint: Paint): string {
  return verdictLine(ok ? "good" : "bad", verdict, paint);
}

export function anchorLine(anchor: string | undefined): string[] {
  return anchor === undefined ? [] : [`anchor: ${anchor} (keep it elsewhere: papyra backup verify --anchor)`];
}

export function shortList(items: readonly string[]): string[] {
  const more = items.length > SHOWN_MAX ? [`and ${items.length - SHOWN_MAX} more`] : [];
  return [...items.slice(0, SHOWN_MAX).map((item) => `- ${printable(item)}`), ...more];
}

export function created(report: CreateReport, paint: Paint): string {
  const { backup, repository, readBytes, storedBytes, seconds, unpinned, frozen } = report;
  return lines(
    head(report.ok, report.verdict, paint),
    `repository: ${printable(repository)}`,
    `source: ${printable(backup.source)} (${backup.how}), store ${printable(backup.store)}, lineage ${printable(backup.lineage)}`,
    `instant: ${timeOf(backup.instant)}`,
    `bytes: ${bytesOf(backup)} in all, ${readBytes} read, ${storedBytes} stored, ${seconds.toFixed(1)} s`,
    ...(frozen === null ? [] : [frozenLine(frozen)]),
    ...(backup.states === null ? [] : [`states: ${backup.states.actors} actors, ${backup.states.sha256}`]),
    ...(unpinned === null ? [] : [`compaction and recovery were not kept away: ${unpinned}`]),
    ...logTable(backup, paint),
    ...shortList(backup.anomalies),
    ...anchorLine(report.anchor),
    ...(report.ok ? [] : ["", `Next: papyra persistence scan --path ${quoted(backup.source)}`]),
  );
}

function frozenLine({ bytes, leftovers }: FrozenCopy): string {
  const left = leftovers === 0 ? "" : `; ${leftovers} keys that an interrupted run had left are removed as well`;
  return `frozen: the server copied all streams at one instant, about ${bytes} bytes, and the copies are removed again${left}`;
}

export function logTable({ logs }: Manifest, paint: Paint): string[] {
  const columns = ["LOG", "RECORDS", "FIRST", "LAST", "NEWEST"];
  const rows = LOG_NAMES.map((log) => {
    const { records, first_seq: first, last_seq: last, last_timestamp: newest } = logs[log];
    return [log, String(records), String(first ?? "-"), String(last), timeOf(newest)];
  });
  const [first = "", ...rest] = table(columns, rows, ["RECORDS", "FIRST", "LAST"]);
  return [paint("dim", first), ...rest];
}

export function listed(view: RepositoryView, verdict: string, paint: Paint): string {
  const columns = ["BACKUP", "INSTANT", "STORE", "RECORDS", "BYTES", "VERDICT", "VERIFIED", "DRILL"];
  const rows = view.backups.map(({ id, manifest, good, pinned, maybePinned, lastVerified, lastDrilled }) => [
    `${id}${manifest?.server_file === undefined ? "" : " (rdb)"}${pinned ? " (pinned)" : maybePinned ? " (pinned?)" : ""}`,
    timeOf(manifest?.instant),
    printable(manifest?.store ?? "-"),
    String(manifest === undefined ? "-" : recordsOf(manifest)),
    String(manifest === undefined ? "-" : bytesOf(manifest)),
    good ? "good" : "DAMAGED",
    lastVerified === undefined ? "never" : `${timeOf(lastVerified.at)}${lastVerified.ok ? "" : " FAILED"}`,
    lastDrilled === undefined ? "never" : `${lastDrilled.outcome} ${timeOf(lastDrilled.at)}`,
  ]);
  const [first = "", ...rest] = table(columns, rows, ["RECORDS", "BYTES"]);
  return lines(
    head(view.problems.length === 0, verdict, paint),
    `repository: ${printable(view.location)}`,
    paint("dim", first),
    ...rest,
    ...shortList(view.problems),
    ...anchorLine(view.catalog.anchor),
  );
}

export function shown(found: BackupInfo & { readonly manifest: Manifest }, verdict: string, paint: Paint): string {
  const { manifest, good, problems, pinned } = found;
  return lines(
    head(good, verdict, paint),
    `store: ${printable(manifest.store)}, lineage ${printable(manifest.lineage)}${manifest.parent === null ? "" : `, which goes on from ${printable(manifest.parent)}`}`,
    `instant: ${timeOf(manifest.instant)} (${manifest.how}, from ${printable(manifest.source)})`,
    ...(manifest.note === null ? [] : [`note: ${printable(manifest.note)}`]),
    ...(pinned ? ["pinned: yes"] : found.maybePinned ? ["pinned: not known, the catalog is damaged"] : []),
    `bytes: ${bytesOf(manifest)}`,
    ...fileLines(manifest),
    ...logTable(manifest, paint),
    ...shortList([...problems, ...manifest.anomalies]),
  );
}

/** Of a backup that is a file of a server. */
export function fileLines({ server_file: file }: Manifest): string[] {
  if (file === undefined) return [];
  const { kind, format, bytes, sha256, server, run_id: run, last_save: saved, check, database } = file;
  const asked = run === null ? "" : `; run ${printable(run)}, LASTSAVE ${timeOf(saved)}`;
  return [
    `file: ${kind} ${format}, ${bytes} bytes, SHA-256 ${sha256}`,
    `written by: ${printable(server ?? "a server that does not say its version")}${asked}`,
    `redis-check-rdb: ${printable(check)}; the store is in database ${database}, ${printable(`${file.prefix}:${file.system_id}`)}`,
  ];
}

export function verified(report: VerifyReport, paint: Paint): string {
  const bad = report.backups.filter(({ ok }) => !ok);
  const oldest = report.oldestVerified === null ? "never" : timeOf(report.oldestVerified);
  return lines(
    head(report.ok, report.verdict, paint),
    `repository: ${printable(report.repository)}`,
    `read: ${report.partsRead} of ${report.parts} parts, ${report.bytesRead} of ${report.bytes} bytes`,
    ...(report.level === "names" ? [] : [`the part that was not read for the longest time: ${oldest}`]),
    ...shortList(report.problems),
    ...bad.flatMap(({ id, problems }) => [`backup ${id}:`, ...shortList(problems)]),
    ...anchorLine(report.anchor),
  );
}

export function restored(report: RestoreReport, paint: Paint): string {
  const columns = ["LOG", "LAST SEQ", "LIVE STORE", "WOULD BE MISSING"];
  const rows = report.logs.map(({ log, lastSeq, liveSeq }) => [
    log,
    String(lastSeq),
    liveSeq === undefined ? "-" : String(liveSeq),
    liveSeq === undefined || liveSeq <= lastSeq ? "-" : `${lastSeq + 1} to ${liveSeq}`,
  ]);
  const shownColumns = report.done ? columns.slice(0, 2) : columns;
  const [first = "", ...rest] = table(
    shownColumns,
    rows.map((row) => row.slice(0, shownColumns.length)),
    ["LAST SEQ", "LIVE STORE"],
  );
  const states = report.states === undefined ? [] : [`states: ${report.states.actors} actors, ${report.states.sha256}`];
  return lines(
    head(report.ok, report.verdict, paint),
    `store: ${printable(report.store)}, lineage ${report.lineage ?? "(a new one)"}, which goes on from ${printable(report.parent ?? "nothing")}`,
    ...(report.passedOver === null
      ? []
      : [
          `not taken: backup ${report.passedOver.backup} has other records up to there, of lineage ${printable(report.passedOver.lineage)}, which a later restore has cut off: --to-backup ${report.passedOver.backup}`,
        ]),
    `bytes: ${report.bytes}${report.done ? `, ${report.seconds.toFixed(1)} s` : ""}`,
    paint("dim", first),
    ...rest,
    ...states,
    ...(report.done && report.statesNotCompared !== undefined
      ? [`states were not compared: ${report.statesNotCompared}`]
      : []),
    ...(report.done ? ["", `Next: papyra persistence startup-check --path ${quoted(report.target)}`] : []),
  );
}

export function restoredActor(report: ActorRestoreReport, paint: Paint): string {
  return lines(
    head(true, report.verdict, paint),
    `events: ${report.events} written, up to revision ${report.revision}`,
  );
}

export function watched(report: WatchReport, paint: Paint): string {
  return lines(head(report.ok, report.verdict, paint), `rounds: ${report.rounds}, shipments: ${report.shipments}`);
}

export function drilled(report: DrillReport, paint: Paint): string {
  return lines(
    head(report.ok, report.verdict, paint),
    `restored: ${report.records} records, ${report.bytes} bytes in ${report.restoreSeconds.toFixed(1)} s`,
    report.actors === undefined
      ? "states: not folded, no configuration names the actors"
      : `states: ${report.actors} actors folded twice in ${report.replaySeconds.toFixed(1)} s`,
    ...(report.groups === undefined ? [] : [groupsLine(report.groups)]),
    ...anchorLine(report.anchor),
  );
}

function groupsLine({ groups, pending, notChecked, seconds }: DrilledGroups): string {
  const what = `consumer groups: ${groups}, with ${pending} pending entries`;
  return notChecked === undefined
    ? `${what}, restored to a scratch server and compared in ${seconds.toFixed(1)} s`
    : `${what}, NOT CHECKED: ${printable(notChecked)}`;
}

export function status(report: StatusReport, paint: Paint): string {
  const at = (seconds: number | null): string => (seconds === null ? "never" : timeOf(seconds));
  return lines(
    head(report.ok, report.verdict, paint),
    `repository: ${printable(report.repository)}`,
    `backups: ${report.backups}, ${report.good} of them good`,
    `newest good one: ${at(report.lastGood)}`,
    `verified: ${at(report.lastVerified)}`,
    `drill passed: ${at(report.lastDrillPassed)}`,
    ...anchorLine(report.anchor),
  );
}

export function pruned(report: PruneReport, paint: Paint): string {
  const rows = report.backups.map(({ id, instant, good, reasons }) => [
    id,
    timeOf(instant),
    good ? "good" : "DAMAGED",
    reasons.length === 0 ? "goes" : `stays: ${reasons.join(", ")}`,
  ]);
  const [first = "", ...rest] = table(["BACKUP", "INSTANT", "VERDICT", "WHY"], rows, []);
  return lines(
    head(true, report.verdict, paint),
    `repository: ${printable(report.repository)}`,
    paint("dim", first),
    ...rest,
    ...(report.partsKept === null ? [] : [`no part is removed: ${printable(report.partsKept)}`]),
    ...(report.maybePinned.length === 0
      ? []
      : [`Next: papyra backup unpin ${report.maybePinned[0]}, or pin, for each of them`]),
    ...(report.done ? anchorLine(report.anchor) : []),
  );
}

export function pinned(report: { readonly verdict: string; readonly anchor: string }, paint: Paint): string {
  return lines(head(true, report.verdict, paint), ...anchorLine(report.anchor));
}

export function keysRotated({ verdict, keyFile, recipients, removed }: RotateKeysReport, paint: Paint): string {
  return lines(
    head(true, verdict, paint),
    ...recipients.map((one) => `  opens it:        ${printable(one)}`),
    ...removed.map((one) => `  opens it no more: ${printable(one)} (what was stored before may be known there)`),
    `  keep a copy of ${keyFile} elsewhere: without it nothing can be read`,
  );
}
