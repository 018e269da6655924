import { deepStrictEqual } from "node:assert";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import {
  decodeMark,
  decodeSlots,
  encodeMark,
  type Mark,
  MARK_BYTES,
  MARK_SLOT_BYTES,
  reachOf,
  speaksFor,
} from "../../src/log/mark.ts";
import { LOG_NAMES } from "../../src/log/record.ts";

function markOf(count: number, change: Partial<Mark> = {}): Mark {
  const known = { written: count * 10, durable: count * 10 - 3, boot: change.boot ?? "boot-1" };
  const logs = { ...Object.fromEntries(LOG_NAMES.map((log) => [log, known])), audits: null };
  return {
    store: "orders",
    lineage: "b1",
    count,
    atMs: 1_767_225_600_000,
    boot: "boot-1",
    mode: "lagging",
    file: "8:1234:99",
    logs: logs as unknown as Mark["logs"],
    ...change,
  };
}

/** The file as it stands after these marks were written in turn. */
function fileOf(...marks: Mark[]): Buffer {
  const file = Buffer.alloc(MARK_BYTES, " ");
  for (const mark of marks) encodeMark(mark).copy(file, (mark.count % 2) * MARK_SLOT_BYTES);
  return file;
}

describe("the slots", () => {
  test("the newest mark is read, whichever slot it is in", () => {
    expect(decodeMark(fileOf(markOf(1)))).toEqual(markOf(1));
    expect(decodeMark(fileOf(markOf(1), markOf(2)))).toEqual(markOf(2));
    expect(decodeMark(fileOf(markOf(1), markOf(2), markOf(3)))).toEqual(markOf(3));
    expect(decodeMark(fileOf(markOf(99), markOf(100)))).toEqual(markOf(100)); // by number, not by text
  });

  test("a slot that was torn at any byte leaves the older mark, never a mixture", () => {
    const before = fileOf(markOf(6), markOf(7));
    const next = markOf(8, { store: 'a "store", "crc":"00000000"}' });
    const slot = encodeMark(next);
    for (let written = 0; written <= slot.length; written += 1) {
      const torn = Buffer.from(before);
      slot.copy(torn, 0, 0, written);
      const read = decodeMark(torn) as Mark;
      expect(read).toEqual(read.count === 8 ? next : markOf(7));
      if (read.count === 8) expect(decodeSlots(torn)?.stale).toBe(false);
    }
  });

  test("any flipped bit costs a mark or nothing; one that may lag says so", () => {
    for (const count of [2, 3, 7, 8, 9, 10, 11, 255]) {
      const [older, newer] = [markOf(count), markOf(count + 1)];
      const file = fileOf(older, newer);
      const used = file.indexOf(0x0a) + 3;
      for (const slot of [0, 1]) {
        for (let at = slot * MARK_SLOT_BYTES; at < slot * MARK_SLOT_BYTES + used; at++) {
          for (let bit = 0; bit < 8; bit++) {
            const flipped = Buffer.from(file);
            flipped[at] = (flipped[at] as number) ^ (1 << bit);
            const read = decodeMark(flipped) as Mark;
            const what = `count ${count}, bit ${bit} of byte ${at}`;
            if (!isDeepStrictEqual(read, newer)) {
              deepStrictEqual(read, older, what);
              deepStrictEqual(decodeSlots(flipped)?.stale, true, what);
            }
          }
        }
      }
    }
  });

  test("a mark that may lag is never exact", () => {
    for (const boot of ["boot-1", "boot-2"]) {
      expect(reachOf({ ...markOf(5, { mode: "exact" }), stale: true }, "events", boot)).toMatchObject({ exact: false });
    }
  });

  test("a slot that was never written is no reason for doubt", () => {
    for (const file of [fileOf(markOf(0)), fileOf(markOf(1)), fileOf(markOf(1), markOf(2))]) {
      expect(decodeSlots(file)?.stale).toBe(false);
    }
  });

  test.each([0, 1, 100, MARK_SLOT_BYTES, MARK_BYTES])("%i bytes of nothing are no mark", (bytes) => {
    expect(decodeMark(Buffer.alloc(bytes))).toBeUndefined();
    expect(decodeMark(Buffer.alloc(bytes, " "))).toBeUndefined();
    expect(decodeMark(Buffer.alloc(bytes, "\n"))).toBeUndefined();
  });

  test("a file that was cut keeps the slot that is whole", () => {
    const file = fileOf(markOf(2), markOf(3));
    for (const kept of [0, 1, 20]) {
      const cut = file.subarray(0, MARK_SLOT_BYTES + kept);
      expect(decodeMark(cut)).toEqual(markOf(2));
      expect(decodeSlots(cut)?.stale).toBe(true);
    }
  });
});

describe("what a mark speaks for", () => {
  const mark = markOf(5);
  const here = { id: mark.file, changedMs: mark.atMs + 20 };

  test("the file it was written to", () => {
    expect(speaksFor(mark, here, "8:7:98")).toBe(true);
  });

  test("not a copy: there the file is another one", () => {
    expect(speaksFor(mark, { ...here, id: "8:1235:99" }, "8:7:98")).toBe(false);
    expect(speaksFor(mark, { ...here, id: "8:1235:99" }, "8:7:98")).toBe(false);
  });

  test("not a copy of hard links: there the file is the same and the directory another one", () => {
    const mark = markOf(5, { directory: "8:7:98" });
    expect(speaksFor(mark, here, "8:7:98")).toBe(true);
    expect(speaksFor(mark, here, "8:8:99")).toBe(false);
  });

  test("not an older store that was copied over this one: the file is the same and was changed long after", () => {
    expect(speaksFor(mark, { ...here, changedMs: mark.atMs + 60_000 }, "8:7:98")).toBe(false);
  });

  test("after a boot only the file counts, whatever the clock says", () => {
    expect(speaksFor(mark, { ...here, changedMs: mark.atMs - 60_000 }, "8:7:98")).toBe(true);
    expect(speaksFor(mark, { ...here, changedMs: 0 }, "8:7:98")).toBe(true);
  });
});

describe("how far a log must reach", () => {
  test("in the same boot exactly as far as was written", () => {
    expect(reachOf(markOf(5), "events", "boot-1")).toEqual({ seq: 50, exact: true });
  });

  test("after a boot as far as was durable; exactly so only if the mark itself and all that it names were made durable", () => {
    expect(reachOf(markOf(5), "events", "boot-2")).toEqual({
      seq: 47,
      acknowledged: 50,
      exact: false,
      more: true,
    });
    const exact = markOf(5, { mode: "exact" });
    expect(reachOf(exact, "events", "boot-2"), "three more had been acknowledged").toEqual({
      seq: 47,
      acknowledged: 50,
      exact: false,
      more: true,
    });
    const logs = { ...exact.logs, events: { written: 47, durable: 47, boot: "boot-1" } };
    expect(reachOf({ ...exact, logs }, "events", "boot-2")).toEqual({ seq: 47, exact: true });
  });

  test("nothing, where nothing is known of the log", () => {
    expect(reachOf(markOf(5), "audits", "boot-1")).toBeUndefined();
    expect(reachOf(markOf(5), "audits", "boot-2")).toBeUndefined();
  });

  test("each log by the boot in which it was known, not by that of the mark", () => {
    const old = { written: 9, durable: 4, boot: "boot-0" };
    const mark = markOf(5, { logs: { ...markOf(5).logs, journal: old } });
    expect(reachOf(mark, "journal", "boot-1")).toEqual({ seq: 4, acknowledged: 9, exact: false, more: true });
    expect(reachOf(mark, "events", "boot-1")).toEqual({ seq: 50, exact: true });
  });

  test("where the platform does not name its boots, as after a boot", () => {
    expect(reachOf(markOf(5, { boot: "" }), "events", "")).toEqual({
      seq: 47,
      acknowledged: 50,
      exact: false,
      more: true,
    });
  });

  test("what a stale mark names was acknowledged all the same", () => {
    expect(reachOf({ ...markOf(5), stale: true }, "events", "boot-2")).toEqual({
      seq: 47,
      acknowledged: 50,
      exact: false,
      more: true,
    });
  });

  test("a lagging mark that names no more than was durable vouches for an end only where the policy waits for the disk", () => {
    const settled = { written: 50, durable: 50, boot: "boot-1" };
    const of = (change: Partial<Mark>) =>
      reachOf(markOf(5, { logs: { ...markOf(5).logs, events: settled }, ...change }), "events", "boot-2");
    expect(of({ durability: "fsync" })).toEqual({ seq: 50, exact: false });
    for (const durability of ["os", "interval"] as const)
      expect(of({ durability })).toEqual({ seq: 50, exact: false, more: true });
    expect(of({}), "of an earlier release").toEqual({ seq: 50, exact: false, more: true });
    expect(of({ durability: "os", closed: true })).toEqual({ seq: 50, exact: true });
    expect(of({ durability: "os", closed: true, stale: true })).toEqual({ seq: 50, exact: false, more: true });
  });
});
