import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { absencesOf, ActorHistory, type HistoryOptions, NOTHING_ABSENT } from "../../src/actors/history.ts";
import type { JournalRecord } from "../../src/log/record.ts";

const PID = "ledger/a";

function record(seq: number, revision: number, group?: [number, number], fields: object = {}): JournalRecord {
  return {
    seq,
    kind: "journal",
    timestamp: 1,
    system_id: "local",
    persistence_id: PID,
    revision,
    event_type: "put",
    version: 1,
    ...(group && { group }),
    payload: { value: revision },
    ...fields,
  };
}

/** The revisions that count, or the text of the error. */
function fold(records: readonly JournalRecord[], options: Partial<HistoryOptions> = {}, reach?: [number, number]) {
  const history = new ActorHistory(PID, { absences: NOTHING_ABSENT, ...options });
  const counting: number[] = [];
  try {
    for (const each of records) counting.push(...history.push(each).map((counts) => counts.revision));
    history.end(reach && { revision: reach[0], seq: reach[1] });
  } catch (error) {
    expect(error).toMatchObject({ code: "HISTORY_DAMAGED" });
    return (error as Error).message;
  }
  return { counting, revision: history.revision };
}

const at = (from: number, to = from) => [{ from, to }];
const missing = (from: number, to = from) => absencesOf(at(from, to), []);
const lost = (from: number, to = from) => absencesOf(at(from, to), [{ from, to, reason: "lost" }]);
const compacted = (from: number, to = from) => absencesOf(at(from, to), [{ from, to, reason: "compacted" }]);

describe("the history of an actor", () => {
  test("counts contiguous revisions, whatever lies between them in the journal", () => {
    expect(fold([])).toEqual({ counting: [], revision: 0 });
    expect(fold([record(3, 1), record(4, 2), record(90, 3)])).toEqual({ counting: [1, 2, 3], revision: 3 });
  });

  test.each([
    ["no first revision", [record(1, 2)]],
    ["a hole", [record(1, 1), record(2, 3)]],
    ["a revision twice", [record(1, 1), record(2, 1)]],
    ["revisions 1, 3, 3, 2", [record(1, 1), record(2, 3), record(3, 3), record(4, 2)]],
    ["two writers one after the other", [record(1, 1), record(2, 2), record(3, 1)]],
    ["seqs that go back", [record(2, 1), record(1, 2)]],
    ["a record of another actor", [record(1, 1, undefined, { persistence_id: "ledger/b" })]],
    ["revision 0", [record(1, 0)]],
    ["a fraction", [record(1, 1.5)]],
    ["a revision that is text", [record(1, 1, undefined, { revision: "1" })]],
    ["an event without a type", [record(1, 1, undefined, { event_type: 3 })]],
    ["a group that is a number", [record(1, 1, undefined, { group: 2 })]],
    ["member 3 of 2", [record(1, 1, [3, 2])]],
    ["a group of one", [record(1, 1, [1, 1])]],
  ])("refuses %s", (_name, records) => {
    expect(typeof fold(records)).toBe("string");
  });

  test("says why a hole is there", () => {
    const records = [record(1, 1), record(5, 3)];
    expect(fold(records, { absences: missing(3) })).toMatch(
      /revision 2 to 2 are missing.*the journal is damaged there/,
    );
    expect(fold(records, { absences: lost(3) })).toMatch(/recovery found them lost/);
    expect(fold(records, { absences: compacted(3) })).toMatch(/compacted, and the snapshot/);
    expect(fold(records)).toMatch(/two histories were mixed/);
  });

  test("accepts, when asked to, only what a gap record accounts for as lost", () => {
    const records = [record(1, 1), record(5, 3), record(6, 4)];
    const gaps = "accept" as const;
    expect(fold(records, { gaps, absences: lost(3) })).toEqual({ counting: [1, 3, 4], revision: 4 });
    expect(fold(records, { gaps, absences: lost(7) })).toMatch(/two histories/);
    expect(fold(records, { gaps, absences: missing(3) })).toMatch(/damaged/);
    expect(fold(records, { gaps, absences: compacted(3) })).toMatch(/compacted/);
    // Two revisions cannot be in one lost record.
    expect(fold([record(1, 1), record(5, 4)], { gaps, absences: lost(3) })).toMatch(/revision 2 to 3/);
  });

  test("begins behind its base, which covers what is missing before it", () => {
    const base = { revision: 3, seq: 5 };
    expect(fold([record(1, 1), record(5, 3), record(6, 4)], { base })).toEqual({ counting: [4], revision: 4 });
    expect(fold([record(6, 4), record(7, 5)], { base, absences: lost(3) })).toEqual({ counting: [4, 5], revision: 5 });
    expect(fold([record(6, 5)], { base })).toMatch(/revision 4 to 4/);
    expect(fold([record(6, 3)], { base })).toMatch(/stands there already/);
  });

  test("must reach as far as a snapshot has seen", () => {
    const records = [record(1, 1), record(2, 2)];
    expect(fold(records, {}, [2, 2])).toEqual({ counting: [1, 2], revision: 2 });
    expect(fold(records, { absences: missing(3) }, [3, 3])).toMatch(/revision 3 to 3/);
    expect(fold(records, { absences: lost(3) }, [3, 3])).toMatch(/revision 3 to 3/);
    expect(fold(records, { absences: lost(3), gaps: "accept" }, [3, 3])).toEqual({ counting: [1, 2], revision: 3 });
  });
});

describe("the events of one command", () => {
  const group = (seq: number, revision: number, size: number) =>
    Array.from({ length: size }, (_, i) => record(seq + i, revision + i, [i + 1, size]));

  test("count together", () => {
    expect(fold([record(1, 1), ...group(2, 2, 3), record(5, 5)])).toEqual({ counting: [1, 2, 3, 4, 5], revision: 5 });
  });

  test.each([1, 2, 3, 4])("count not at all when only the first %i of 5 were written", (written) => {
    const torn = group(2, 2, 5).slice(0, written);
    expect(fold([record(1, 1), ...torn])).toEqual({ counting: [1], revision: 1 });
    // The next command takes the same revisions, right behind or far behind.
    for (const seq of [2 + written, 40]) {
      expect(fold([record(1, 1), ...torn, record(seq, 2), record(seq + 1, 3)])).toEqual({
        counting: [1, 2, 3],
        revision: 3,
      });
      expect(fold([record(1, 1), ...torn, ...group(seq, 2, 5)])).toEqual({ counting: [1, 2, 3, 4, 5, 6], revision: 6 });
    }
    // Torn twice.
    expect(fold([record(1, 1), ...torn, ...group(9, 2, 3).slice(0, 1), record(20, 2)])).toEqual({
      counting: [1, 2],
      revision: 2,
    });
    // Whoever goes on behind it has seen the end that is missing now.
    expect(typeof fold([record(1, 1), ...torn, record(40, 7)])).toBe("string");
    expect(typeof fold([record(1, 1), ...torn, record(40, 3)])).toBe("string");
  });

  test("are damaged when members are missing that were written", () => {
    const [first, second, third] = group(2, 2, 3) as [JournalRecord, JournalRecord, JournalRecord];
    expect(fold([record(1, 1), first, second], { absences: missing(4) })).toMatch(/revision 2 to 4/);
    expect(fold([record(1, 1), first, second], { absences: lost(4) })).toMatch(/revision 2 to 4/);
    expect(fold([record(1, 1), first, second], { absences: missing(5) })).toEqual({ counting: [1], revision: 1 });
    expect(typeof fold([record(1, 1), first, third], { absences: missing(3) })).toBe("string");
    expect(typeof fold([record(1, 1), second, third], { absences: missing(2) })).toBe("string");
    expect(typeof fold([record(1, 1), first, second, record(9, 5)], { absences: missing(4) })).toBe("string");
  });

  test.each([0, 1, 2, 3])("are never half applied when member %i of 4 is lost and that is accepted", (gone) => {
    const records = [record(1, 1), ...group(2, 2, 4).filter((_, i) => i !== gone)];
    const options = { gaps: "accept" as const, absences: lost(2 + gone) };
    expect(fold(records, options)).toEqual({ counting: [1], revision: 5 });
    expect(fold([...records, record(6, 6)], options)).toEqual({ counting: [1, 6], revision: 6 });
  });

  test("are not mixed up with another group", () => {
    const [first] = group(2, 2, 3) as [JournalRecord];
    expect(typeof fold([record(1, 1), first, record(3, 3, [2, 2])])).toBe("string");
    expect(typeof fold([record(1, 1), first, record(4, 3, [2, 3]), record(5, 4, [3, 3])])).toBe("string");
    expect(typeof fold([record(1, 1), first, record(3, 4, [2, 3]), record(4, 5, [3, 3])])).toBe("string");
    expect(typeof fold([record(1, 1), first, record(3, 3, [3, 3])])).toBe("string");
  });
});

test("any record that is missing from the middle of a history is noticed", () => {
  const histories = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(histories, fc.nat(), fc.boolean(), (sizes, pick, accounted) => {
      let revision = 0;
      let seq = 0;
      const records = sizes.flatMap((size) => {
        seq += 3; // other actors write, too
        return Array.from({ length: size }, (_, i) =>
          record(++seq, ++revision, size > 1 ? ([i + 1, size] as [number, number]) : undefined),
        );
      });
      const last = sizes.at(-1) as number;
      const at = pick % (records.length - last);
      const gone = records[at] as JournalRecord;
      const absences = accounted ? lost(gone.seq) : missing(gone.seq);
      const without = records.filter((each) => each !== gone);
      expect(typeof fold(without, { absences })).toBe("string");
      expect(typeof fold(without)).toBe("string");
      if (!accounted) return;
      // Accepted: the whole group of the lost record is gone, all others count.
      const all = fold(without, { absences, gaps: "accept" });
      const [position, size] = gone.group ?? [1, 1];
      const from = gone.revision - position + 1;
      const rest = records.map((each) => each.revision).filter((each) => each < from || each >= from + size);
      expect(all).toEqual({ counting: rest, revision });
    }),
    { seed: 7, numRuns: 300 },
  );
});
