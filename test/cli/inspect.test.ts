// Reading from the end gives what reading from the beginning gives, whatever the sizes of lines and windows; and what is
// damaged is counted, never fatal.
import fc from "fast-check";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { inspect } from "../../src/ops/inspect.ts";
import { event, flipBit, gone, makeStore, papyra, papyraJson, scratch, tear } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

interface Inspected {
  readonly report: {
    readonly records: { readonly record: { readonly seq: number } }[];
    readonly more: boolean;
    readonly damaged: number;
  };
}
async function seqs(...argv: string[]): Promise<number[]> {
  const document = (await papyraJson(["inspect", ...argv])) as unknown as Inspected;
  return document.report.records.map(({ record }) => record.seq);
}

describe("the newest records, the newest one last", () => {
  let path: string;
  beforeAll(async () => {
    path = await makeStore(join(dir, "store"), 30);
  });

  test("as many as were asked for", async () => {
    expect(await seqs("events", "--path", path)).toEqual(Array.from({ length: 20 }, (_, i) => i + 11));
    expect(await seqs("events", "--path", path, "--limit", "3")).toEqual([28, 29, 30]);
    expect(await seqs("events", "--path", path, "--limit", "100")).toHaveLength(30);
  });

  test("by type, by actor, by time", async () => {
    expect(await seqs("events", "--path", path, "--type", "ActorStopped", "--limit", "2")).toEqual([28, 30]);
    for (const actor of ["local://orders/3", "orders/3", "3", "*rders/3"]) {
      expect(await seqs("events", "--path", path, "--actor", actor), actor).toEqual([3, 8, 13, 18, 23, 28]);
    }
    expect(await seqs("events", "--path", path, "--actor", "ers/3")).toEqual([]);
    expect(await seqs("events", "--path", path, "--actor", "orders/*", "--limit", "2")).toEqual([29, 30]);
    expect(await seqs("events", "--path", path, "--since", "1h")).toHaveLength(20);
    expect(await seqs("events", "--path", path, "--until", "1h")).toEqual([]);
    expect(await seqs("journal", "--path", path, "--actor", "account/42")).toEqual([1]);
    expect(await seqs("dead-letters", "--path", path, "--type", "Ping")).toEqual([1]);
    expect(await seqs("audits", "--path", path)).toEqual([]);
    expect(await seqs("snapshots", "--path", path)).toEqual([]);
  });

  test("--since stops the reading where time is older", async () => {
    const backend = fileBackend({ path }, nodeEnv);
    const report = await inspect(backend, { kind: "event", limit: 100, sinceMs: Date.now() + 60_000 });
    expect(report).toMatchObject({ linesRead: 1, records: [] });
  });

  test("damage is counted and mentioned, and the exit is 0; gap records are shown in their place", async () => {
    const copy = await makeStore(join(dir, "damaged"), 10);
    flipBit(join(copy, "events.ndjson"));
    tear(join(copy, "events.ndjson"));
    const ran = await papyra(["inspect", "events", "--path", copy]);
    expect(ran.exit).toBe(0);
    expect(ran.stdout).toContain("9 event records; 2 damaged places passed over");
    expect(ran.stdout).toContain(`Next: papyra persistence scan --path ${copy}`);
    await papyra(["persistence", "recover", "--path", copy]);
    const { stdout } = await papyra(["inspect", "events", "--path", copy, "--limit", "1"]);
    expect(stdout).toMatch(/ 11 {2}\(gap\) {2}- {6}seq 2 lost, by recover /);
  });

  test("what a payload holds cannot steer the terminal", async () => {
    const hostile = join(dir, "hostile");
    const store = await openStore(fileBackend({ path: hostile }, nodeEnv));
    await store.append("events", [event("\u001b[2Jtype", "local://\u202eevil", { "\u0007": "\u009b31m" })]);
    await store.close();
    const { stdout } = await papyra(["inspect", "events", "--path", hostile]);
    expect(stdout).toMatch(/^[ -~\n]*$/);
    expect(stdout).toContain("\\u001b[2Jtype");
  });

  test("beside an open writer, the line in flight is not damage", async () => {
    const live = join(dir, "live");
    const store = await openStore(fileBackend({ path: live }, nodeEnv));
    await store.append("events", [event("A", "local://a", 1)]);
    tear(join(live, "events.ndjson"));
    expect(await papyraJson(["inspect", "events", "--path", live])).toMatchObject({
      report: { damaged: 0, records: { length: 1 } },
    });
    await store.close();
    expect(await papyraJson(["inspect", "events", "--path", live])).toMatchObject({
      report: { damaged: 1, records: { length: 1 } },
    });
  });
});

test("backwards is forwards turned round, for any lengths of lines and any junk", async () => {
  const path = join(dir, "random.ndjson");
  const backend = fileBackend({ path }, nodeEnv);
  const piece = fc.oneof(
    fc.nat(200).map((length) => `${JSON.stringify({ kind: "event", pad: "y".repeat(length) })}\n`),
    fc
      .integer({ min: 60_000, max: 400_000 })
      .map((length) => `${JSON.stringify({ kind: "event", pad: "y".repeat(length) })}\n`),
    fc.nat(100_000).map((length) => `${"z".repeat(length)}\n`),
    fc.constant("\n"),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 25 }),
      fc.constantFrom("", '{"torn', '{"kind":"event"}'),
      async (pieces, tail) => {
        const text = pieces.join("") + tail;
        writeFileSync(path, text);
        const report = await inspect(backend, { kind: "event", limit: 10_000 });
        const lines = text === "" ? [] : text.split("\n");
        if (lines.at(-1) === "") lines.pop();
        const good = lines.filter((line) => line.startsWith("{") && line.endsWith("}"));
        expect(report.records.map(({ record }) => JSON.stringify(record))).toEqual(good);
        expect(report.damaged).toBe(lines.length - good.length);
        for (const { offset, record } of report.records) {
          const line = JSON.stringify(record);
          expect(text.slice(offset, offset + line.length)).toBe(line);
        }
      },
    ),
    { numRuns: 60 },
  );
});

describe("summary", () => {
  test("first, last and sizes without reading everything; counts when asked", async () => {
    const path = await makeStore(join(dir, "summary"), 12);
    const { report } = (await papyraJson(["inspect", "summary", "--path", path])) as {
      report: { logs: Record<string, unknown>[] };
    };
    expect(report.logs).toMatchObject([
      {
        log: "events",
        checked: true,
        first: { seq: 1, type: "event ActorStarted" },
        last: { seq: 12, type: "event ActorStopped" },
        types: null,
      },
      { log: "journal", first: { seq: 1 }, last: { seq: 1 } },
      { log: "audits", first: null, last: null },
      { log: "dead_letters", last: { type: "dead_letter Ping" } },
      { log: "snapshots", last: null },
    ]);
    appendFileSync(join(path, "events.ndjson"), "junk\n");
    const counted = (await papyraJson(["persistence", "inspect", "--count", "--path", path])) as {
      report: { logs: unknown[] };
    };
    expect(counted.report.logs[0]).toMatchObject({
      damaged: 1,
      types: [
        { type: "event ActorStarted", records: 6 },
        { type: "event ActorStopped", records: 6 },
      ],
    });
  });

  test("a log is summarised alone when its file is named", async () => {
    const path = await makeStore(join(dir, "one"), 2);
    const { report } = (await papyraJson(["inspect", "summary", "--path", join(path, "journal.ndjson")])) as {
      report: { logs: unknown[] };
    };
    expect(report.logs).toMatchObject([{ log: "journal", bytes: readFileSync(join(path, "journal.ndjson")).length }]);
  });
});
