// Mutation testing of the verifiers, by classes of bytes: each kind of line and of file, taken apart into its members, in the
// first, the second-to-last and the last segment of each log. Every bit of a sample is flipped, the byte changed, deleted, one
// inserted before it: a scan must find it, and what it says of acknowledged records must be what a ledger knows.
import { expect, test } from "vitest";
import { digestOf } from "../src/actors/digest.ts";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import { LOG_NAMES, type LogName, type NewRecord } from "../src/log/record.ts";
import { compactStore } from "../src/ops/compact.ts";
import { recover } from "../src/ops/recover.ts";
import { scan, type ScanReport } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { linesOf } from "./damage/base.ts";
import { flip, insert, type Mutation, remove } from "./damage/mutations.ts";

const PATH = "/data/m";

/** What a scan may pass over, and why. Everything else is found. */
const BENIGN: Readonly<Record<string, string>> = {
  "papyra.mark": "a cache: damaged, it vouches for less, and accuses nobody",
};

const backendOn = (disk: SimDisk) => fileBackend({ path: PATH, segmentBytes: 4096 }, disk.env);

function recordFor(log: LogName, n: number): NewRecord {
  const [system_id, payload] = ["s", { n, text: "x".repeat(120) }];
  switch (log) {
    case "events":
      return { kind: "event", system_id, actor_address: "s://a", event_type: "Noted", payload };
    case "journal": {
      const about = { persistence_id: n % 2 === 1 ? "a/1" : "b/1", revision: Math.ceil(n / 2) };
      return { kind: "journal", system_id, ...about, event_type: "happened", version: 1, payload };
    }
    case "audits": {
      const counts = { total_actors: 1, alive_actors: 1, stopping_actors: 0, restarting_actors: 0, registry_size: 1 };
      const rest = { registry_orphans: [], registry_dead: [], dead_letters_count: 0, records_lost_count: 0 };
      return { kind: "audit", system_id, ...counts, ...rest, payload };
    }
    case "dead_letters":
      return { kind: "dead_letter", system_id, target: "s://b", message_type: "Hello", reason: "stopped", payload };
    case "snapshots": {
      const about = { persistence_id: "a/1", revision: n, journal_seq: 2 * n - 1, digest: digestOf(payload) };
      return { kind: "snapshot", system_id, ...about, payload };
    }
  }
}

/** All five logs in several segments, a compacted one, gap records with and without `kept`, seals. */
async function storeToDamage(): Promise<SimDisk> {
  const disk = new SimDisk({ startMs: 1000 });
  const store = await openStore(backendOn(disk));
  const next = Object.fromEntries(LOG_NAMES.map((log) => [log, 1])) as Record<LogName, number>;
  const write = async (to: typeof store, log: LogName, count: number) => {
    const records = Array.from({ length: count }, () => recordFor(log, next[log]++));
    await to.append(log, records);
  };
  for (let i = 0; i < 12; i++) for (const log of LOG_NAMES) await write(store, log, log === "journal" ? 6 : 3);
  await compactStore(store, { retention: { events: { maxRecords: 20 }, journal: { maxRecords: 10 } } });
  for (const log of LOG_NAMES) await write(store, log, 2);
  await store.close();
  const name = (await backendOn(disk).view()).segments.findLast(({ log, active }) => log === "audits" && !active)?.name;
  disk.corrupt(`${PATH}/${name}`, (bytes) => bytes.fill(0x7e, 500, 501));
  expect((await recover(backendOn(disk), { mode: "quarantine", quarantineDir: "/data/q" })).after.ok).toBe(true);
  const again = await openStore(backendOn(disk));
  for (let i = 0; i < 4; i++) for (const log of LOG_NAMES) await write(again, log, 3);
  await again.close();
  return disk;
}

/** A class of bytes, and some of them. */
interface Sample {
  readonly name: string;
  readonly at: readonly number[];
}

/** The members of a line, each with its first and last byte of name and value, and the bytes around them. */
function samplesOf(kind: string, line: string, offset: number): Sample[] {
  const samples: Sample[] = [{ name: `${kind}/open`, at: [offset] }];
  let at = 1;
  const members = Object.entries(JSON.parse(line) as Record<string, unknown>);
  for (const [name, value] of members) {
    const length = JSON.stringify(name).length + 1 + JSON.stringify(value).length;
    const valueAt = at + JSON.stringify(name).length + 1;
    const places = new Set([at + 1, valueAt, valueAt + (length >> 1), at + length - 1].filter((p) => p < at + length));
    samples.push({ name: `${kind}/${name}`, at: [...places].map((place) => offset + place) });
    at += length + 1;
  }
  samples.push({ name: `${kind}/close`, at: [offset + line.lastIndexOf("}")] });
  if (line.endsWith("\n")) samples.push({ name: `${kind}/line break`, at: [offset + line.length - 1] });
  return samples;
}

function kindOf(line: string): string {
  if (line.startsWith('{"papyra"')) return "identity";
  const fields = JSON.parse(line) as { kind: string; kept?: unknown; durable?: number };
  if (fields.kind === "gap") return fields.kept === undefined ? "gap" : "gap with kept";
  return fields.kind;
}

function* mutationsAt(file: string, bytes: Buffer, at: number): Generator<Mutation> {
  for (let bit = 0; bit < 8; bit++) yield flip(file, bytes, at, bit);
  yield remove(file, bytes, at);
  yield insert(file, bytes, at, 0x78);
  yield insert(file, bytes, at, 0x0a);
  const changed = Buffer.from(bytes).fill(bytes[at] === 0x30 ? 0x31 : 0x30, at, at + 1);
  if (!changed.equals(bytes))
    yield { what: `byte ${at} of ${file} made a digit`, file, files: new Map([[file, changed]]) };
}

/** The store without the segments of all other logs: a scan of one log would look at the names and sizes of all, each time. */
async function aloneWith(log: LogName, whole: SimDisk): Promise<SimDisk> {
  const disk = whole.afterKill();
  const { segments } = await backendOn(disk).view();
  for (const { name, log: of } of segments) if (of !== log) disk.drop(`${PATH}/${name}`);
  const found = await scan(backendOn(disk), { log });
  expect(found.ok, found.verdict).toBe(true);
  return disk;
}

async function scanOf(base: SimDisk, { files }: Mutation, log: LogName | undefined): Promise<ScanReport> {
  const disk = base.afterKill();
  for (const [name, bytes] of files) disk.corrupt(`${PATH}/${name}`, () => bytes);
  return scan(backendOn(disk), { log });
}

/** By class: how many mutations there were, and how many were found, with a right word on acknowledged records. */
class Table {
  readonly #rows = new Map<string, { all: number; found: number }>();
  readonly wrong: string[] = [];

  count(name: string, complaint: string | undefined): void {
    const row = this.#rows.get(name) ?? { all: 0, found: 0 };
    this.#rows.set(name, { all: row.all + 1, found: row.found + (complaint === undefined ? 1 : 0) });
    if (complaint !== undefined) this.wrong.push(`${name}: ${complaint}`);
  }

  print(title: string): void {
    const rows = [...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1));
    const total = rows.reduce((sum, [, { all }]) => sum + all, 0);
    console.log(
      `${title}: ${total}\n${rows.map(([name, { all, found }]) => `  ${name}: ${found} of ${all}`).join("\n")}`,
    );
  }
}

/** Whether the scan is right about a line whose bytes were changed: `seq` was acknowledged, if it is a record. */
function judge(found: ScanReport, mutation: Mutation, line: string): string | undefined {
  if (found.ok) return `${mutation.what}: not found`;
  const seq = Number(/^\{"seq":(\d+),/.exec(line)?.[1] ?? 0);
  const rest = mutation.files.get(mutation.file)?.toString("latin1") ?? "";
  const gone = seq > 0 && !rest.includes(line.replace(/\n$/, ""));
  const said = found.anomalies.filter(({ acknowledged }) => acknowledged !== "none");
  const named = said.some(({ acknowledged, lostSeqs: lost }) => {
    return acknowledged === "lost" && lost !== undefined && lost.from <= seq && seq <= lost.to;
  });
  if (gone && !named) return `${mutation.what}: seq ${seq} is lost, but: ${JSON.stringify(found.anomalies)}`;
  if (!gone && said.length > 0) return `${mutation.what}: nothing is lost, but: ${JSON.stringify(said)}`;
  return undefined;
}

test("every class of bytes of every kind of line, in the first, the second-to-last and the last segment", async () => {
  const store = await storeToDamage();
  const whole = await scan(backendOn(store));
  expect(whole.ok, whole.verdict).toBe(true);
  const { segments } = await backendOn(store).view();
  const table = new Table();
  for (const log of LOG_NAMES) {
    const base = await aloneWith(log, store);
    const own = segments.filter((segment) => segment.log === log);
    expect(own.length, log).toBeGreaterThanOrEqual(3);
    for (const { name: file } of [own[0], own.at(-2), own.at(-1)] as typeof own) {
      const bytes = base.content(`${PATH}/${file}`);
      const seen = new Set<string>();
      let offset = 0;
      for (const line of linesOf(bytes)) {
        const kind = kindOf(line);
        const samples = seen.has(kind) ? [] : samplesOf(kind, line, offset);
        seen.add(kind);
        offset += line.length;
        for (const { name, at } of samples) {
          for (const mutation of at.flatMap((place) => [...mutationsAt(file, bytes, place)])) {
            table.count(name, judge(await scanOf(base, mutation, log), mutation, line));
          }
        }
      }
    }
  }
  table.print("bytes of lines");
  expect(table.wrong.slice(0, 10).join("\n"), `${table.wrong.length} wrong`).toBe("");
});

test("every class of bytes of papyra.json, and of the mark, which is a cache", async () => {
  const base = await storeToDamage();
  const table = new Table();
  const json = base.content(`${PATH}/papyra.json`);
  for (const { name, at } of samplesOf("papyra.json", json.toString("latin1"), 0)) {
    for (const mutation of at.flatMap((place) => [...mutationsAt("papyra.json", json, place)])) {
      table.count(name, judge(await scanOf(base, mutation, undefined), mutation, ""));
    }
  }
  const mark = base.content(`${PATH}/papyra.mark`);
  for (const slot of [0, 4096]) {
    const line = mark.subarray(slot, mark.indexOf(0x0a, slot) + 1).toString("latin1");
    for (const { name, at } of samplesOf(`papyra.mark/slot ${slot / 4096}`, line, slot)) {
      expect(BENIGN).toHaveProperty(["papyra.mark"]);
      for (const mutation of at.flatMap((place) => [...mutationsAt("papyra.mark", mark, place)])) {
        const { ok, verdict } = await scanOf(base, mutation, undefined);
        table.count(`${name} (benign)`, ok ? undefined : `${mutation.what}: ${verdict}`);
      }
    }
  }
  table.print("bytes of the store's own files");
  for (const [file, reason] of Object.entries(BENIGN)) console.log(`benign: ${file}: ${reason}`);
  expect(table.wrong.slice(0, 10).join("\n"), `${table.wrong.length} wrong`).toBe("");
});
