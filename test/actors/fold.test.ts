import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { applyEvent, evolve, FoldState, initialState, readSnapshot } from "../../src/actors/fold.ts";
import { absencesOf, ActorHistory, type HistoryOptions, NOTHING_ABSENT } from "../../src/actors/history.ts";
import { definitionOf, persistentActor } from "../../src/actors/persistent.ts";
import { settle } from "../../src/actors/plain.ts";
import type { JournalRecord, SnapshotRecord } from "../../src/log/record.ts";

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

const account = persistentActor(
  {
    type: "account",
    version: 3,
    initial: () => ({ total: 0, log: [] as string[] }),
    events: {
      put: (state, e: { value: number }) => ({ ...state, total: state.total + e.value }),
      noted: (state, e: { text: string }) => ({ ...state, log: [...state.log, e.text] }),
      mutating: (state, _e: { x: number }) => {
        state.total += 1;
        return state;
      },
      strange: (state, _e: { x: number }) => ({ ...state, at: new Date(0) }),
    },
    upcast: (type, payload, from) => {
      if (from === 1)
        return [
          { type: "put", payload },
          { type: "noted", payload: { text: `v${from}` } },
        ];
      if (type === "dropped") return [];
      if (type === "nothing") return undefined as never;
      return { type: type === "added" ? "put" : type, payload };
    },
  },
  { read: (state, _, ctx) => ctx.reply(state) },
);
const definition = definitionOf(account);

describe("the fold", () => {
  const state = initialState(definition);

  test("passes events of older versions through the upcaster: to one, several or none", () => {
    const apply = (event_type: string, version: number) =>
      applyEvent(definition, state, record(1, 1, undefined, { event_type, version, payload: { value: 2 } }));
    expect(apply("put", 3)).toEqual({ total: 2, log: [] });
    expect(apply("added", 2)).toEqual({ total: 2, log: [] });
    expect(apply("whatever", 1)).toEqual({ total: 2, log: ["v1"] });
    expect(apply("dropped", 2)).toEqual({ total: 0, log: [] });
  });

  test.each([
    ["an unknown event", "nobody", 3],
    ["an unknown event of an older version", "nobody", 2],
    ["an event of a newer version", "put", 4],
    ["an upcaster that forgets to return", "nothing", 2],
    ["a handler that changes the state it is given", "mutating", 3],
    ["a handler that returns what JSON cannot hold", "strange", 3],
    ["an inherited name", "toString", 3],
    ["__proto__", "__proto__", 3],
  ])("refuses %s, and says where it stands", (_name, event_type, version) => {
    const place = { segment: "journal.ndjson", offset: 77, length: 9 };
    const bad = record(8, 1, undefined, { event_type, version, payload: { x: 1 } });
    let error: unknown;
    try {
      applyEvent(definition, state, bad, place);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: "EVENT_UNKNOWN",
      details: { persistenceId: PID, eventType: event_type, seq: 8, file: "journal.ndjson", offset: 77 },
    });
    expect((error as { hint: string }).hint).toMatch(/papyra inspect journal/);
    expect(state).toEqual({ total: 0, log: [] });
  });

  test("folds records to the same state and digest, however often", () => {
    const records = Array.from({ length: 50 }, (_, i) =>
      record(i + 1, i + 1, undefined, { version: 3, payload: { value: i } }),
    );
    const digests = new Set<string>();
    for (let run = 0; run < 3; run++) {
      const folded = new FoldState(account, PID, { absences: NOTHING_ABSENT });
      for (const each of records) folded.push(each);
      folded.end();
      expect(folded.state).toEqual({ total: 1225, log: [] });
      expect(folded.revision).toBe(50);
      digests.add(folded.digest());
    }
    expect(digests.size).toBe(1);
    const base = { revision: 20, seq: 20 };
    const behind = new FoldState(account, PID, { absences: NOTHING_ABSENT, base }, { state: { total: 190, log: [] } });
    for (const each of records) behind.push(each);
    expect([...digests]).toEqual([behind.digest()]);
    expect(behind.events).toBe(30);
  });

  test("trusts a snapshot only if its digest verifies and its shape is known", () => {
    const payload = { total: 3, log: [] };
    const snapshot: SnapshotRecord = {
      seq: 1,
      kind: "snapshot",
      timestamp: 1,
      system_id: "local",
      persistence_id: PID,
      revision: 3,
      journal_seq: 3,
      digest: digestOf(payload),
      payload,
    };
    expect(readSnapshot(definition, snapshot)).toEqual({ usable: true, state: payload });
    expect(readSnapshot(definition, { ...snapshot, payload: { total: 4, log: [] } })).toMatchObject({ why: "broken" });
    expect(readSnapshot(definition, { ...snapshot, digest: "" })).toMatchObject({ why: "broken" });
    expect(readSnapshot(definition, { ...snapshot, version: 2 })).toMatchObject({ why: "other-version" });
    const upcasting = {
      ...definition,
      stateVersion: 2,
      upcastState: (old: unknown) => ({ ...(old as object), more: 1 }),
    };
    expect(readSnapshot(upcasting, snapshot)).toEqual({ usable: true, state: { total: 3, log: [], more: 1 } });
    const { upcastState: _left, ...plain } = upcasting;
    expect(readSnapshot({ ...plain, upcastState: undefined }, snapshot)).toMatchObject({ why: "other-version" });
  });

  test("refuses an event that the definition does not have, before anything is stored", () => {
    expect(() => evolve(definition, state, "hasOwnProperty", {})).toThrow(/has no event/);
  });
});

describe("the digest", () => {
  test("is SHA-256 over canonical JSON, whatever the order of keys", () => {
    expect(digestOf({ b: 1, a: [true, null, "x"] })).toBe(digestOf({ a: [true, null, "x"], b: 1 }));
    // printf '{"a":[true,null,"x"],"b":1}' | sha256sum
    expect(digestOf({ b: 1, a: [true, null, "x"] })).toBe(
      "54a65415ad370228851a1da4b31b6fd42dc58b19a50d35cae759325f7388ce64",
    );
    expect(digestOf({ n: -0 })).toBe(digestOf({ n: 0 }));
  });

  test("tells apart what differs, half surrogates and __proto__ included", () => {
    const values: unknown[] = [
      {},
      [],
      null,
      "",
      "\ud800",
      "\ufffd",
      '"\\ud800"',
      "\\ud800",
      { "\udfff": 1 },
      JSON.parse('{"__proto__":1}'),
      JSON.parse('{"__proto__":{"a":1}}'),
      { constructor: 1 },
      { "\u2028": "\u2029" },
      { a: ["\ud800", "b"] },
      { a: ["\ud800b"] },
    ];
    expect(new Set(values.map(digestOf)).size).toBe(values.length);
  });

  test.each([
    [undefined],
    [Number.NaN],
    [1n],
    [{ a: undefined }],
    [[undefined]],
    [new Map()],
    [() => 1],
    [new Date(0)],
  ])("refuses %s", (value) => expect(() => digestOf(value)).toThrow(/JSON cannot hold/));
});

describe("plain data", () => {
  test("is frozen all the way down, also what others froze only at the top", () => {
    const value = Object.freeze({ a: { b: [{ c: 1 }] } });
    settle(value, "value");
    expect(() => value.a.b.push({ c: 2 })).toThrow(TypeError);
    expect(() => ((value.a.b[0] as { c: number }).c = 2)).toThrow(TypeError);
  });

  test.each([
    [
      "a value that contains itself",
      (() => {
        const a: Record<string, unknown> = {};
        a.a = a;
        return a;
      })(),
      "levels deep",
    ],
    ["a class instance", { x: new (class Point {})() }, "state.x is an instance of Point"],
    ["a prototype that was set by a hostile key", Object.setPrototypeOf({ a: 1 }, { polluted: 1 }), "an instance of"],
    ["undefined in an array", { list: [1, undefined] }, "state.list[1] is undefined"],
    ["a hole in an array", { list: [, 1] }, "holes"],
    ["a symbol key", { [Symbol("s")]: 1 }, "symbol keys"],
    ["infinity", { n: Infinity }, "state.n is Infinity"],
  ])("is not %s", (_name, value, message) => {
    expect(() => settle(value, "state")).toThrow(message);
  });
});
