// The account of bytes: what a store was is what it is now, with what is in quarantine and without what the report names.
import { strict as assert } from "node:assert";
import type { LogName } from "../../src/log/record.ts";
import type { RecoverReport } from "../../src/ops/recover.ts";
import { type Base, isContent, linesOf, logOf } from "./base.ts";

interface KeptEntry {
  readonly at: number;
  readonly offset: number;
  readonly length: number;
}

/** before = after + removed - inserted: in sum always, and byte for byte where nothing was moved. */
export function assertBytes(
  base: Base,
  before: ReadonlyMap<string, Buffer>,
  after: ReadonlyMap<string, Buffer>,
  report: RecoverReport,
): void {
  const sum = (files: ReadonlyMap<string, Buffer>): number =>
    [...files].reduce((total, [name, bytes]) => total + (logOf(name) === undefined ? 0 : bytes.length), 0);
  const created = report.actions.filter(({ what, file }) => what === "file created" && logOf(file) !== undefined);
  const made = created.reduce((total, { file }) => total + (base.identity.get(logOf(file)!)?.length ?? 0), 0);
  assert.equal(sum(before) + made, sum(after) + report.removedBytes - report.insertedBytes, "before = after + removed");
  for (const [name, bytes] of before) {
    const log = logOf(name);
    if (!isContent(name)) continue;
    const entries = keptOf(after, report, name);
    for (const { bytes: kept, entry } of entries) {
      assert.ok(
        bytes.subarray(entry.offset, entry.offset + entry.length).equals(kept),
        `what was taken out of ${name} is kept`,
      );
    }
    const isStore = name === "papyra.json";
    if (isStore && bytes.length > 0 && !bytes.equals(after.get(name)!))
      assert.equal(entries[0]?.entry.length, bytes.length, "papyra.json is kept");
    if (!isStore && !report.actions.some(({ what }) => what === "moved") && !rounds(after, report)) {
      assertSpliced(
        base,
        log!,
        name,
        bytes,
        after.get(name)!,
        entries.map(({ entry }) => entry),
        report,
      );
    }
  }
}

function rounds(after: ReadonlyMap<string, Buffer>, report: RecoverReport): boolean {
  return [...after.keys()].some((name) => name.includes(String(report.id)) && name.includes(".round"));
}

function keptOf(
  after: ReadonlyMap<string, Buffer>,
  report: RecoverReport,
  segment: string,
): { entry: KeptEntry; bytes: Buffer }[] {
  const reasons = after.get(`quarantine/${report.id}/${segment}.reasons.json`);
  const bytes = after.get(`quarantine/${report.id}/${segment}.bytes`);
  if (reasons === undefined || bytes === undefined) return [];
  const { entries } = JSON.parse(String(reasons)) as { entries: KeptEntry[] };
  return entries.map((entry) => ({ entry, bytes: bytes.subarray(entry.at, entry.at + entry.length) }));
}

/** The segment is what it was, without what is in quarantine, with what the report names, and gap records at the end. */
function assertSpliced(
  base: Base,
  log: LogName,
  name: string,
  before: Buffer,
  after: Buffer,
  removed: readonly KeptEntry[],
  report: RecoverReport,
): void {
  const own = report.actions.filter(({ file }) => file === name);
  const edits = [
    ...removed.map(({ offset, length }) => ({ offset, remove: length, insert: "" })),
    ...own.filter(({ what }) => what === "terminated").map(({ offset }) => ({ offset, remove: 0, insert: "\n" })),
    ...own
      .filter(({ what }) => what === "identity restored")
      .map(() => ({ offset: 0, remove: 0, insert: base.identity.get(log) as string })),
  ].sort((a, b) => a.offset - b.offset || a.remove - b.remove);
  let expected = "";
  let position = 0;
  const text = before.toString("latin1");
  for (const { offset, remove, insert } of edits) {
    expected += text.slice(position, offset) + insert;
    position = offset + remove;
  }
  expected += text.slice(position);
  const found = after.toString("latin1");
  assert.ok(found.startsWith(expected), `${name} is what it was, but for what the report names`);
  const more = linesOf(Buffer.from(found.slice(expected.length), "latin1"));
  if (own.some(({ what }) => what === "sealed anew")) assert.match(String(more.pop()), /^\{"kind":"seal",.*\}\n$/);
  assert.ok(more.every((line) => line.includes('"kind":"gap"')));
  if (more.length > 0) assert.equal(more.length, report.gaps.filter((gap) => gap.log === log).length);
}
