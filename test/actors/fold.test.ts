import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { applyEvent, evolve, FoldState, initialState, readSnapshot } from "../../src/actors/fold.ts";
import { NOTHING_ABSENT } from "../../src/actors/history.ts";
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
    const place = { id: "1", segment: "journal.ndjson", offset: 77, length: 9 };
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
    if (version > 3)
      expect((error as { hint: string }).hint).toMatch(/^deploy a definition of \w+ with version 4 or newer/);
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

  test("is settled once: a value that came frozen stays as it is, and what is new in it is found", () => {
    const items: number[] = [];
    const shallow = settle(Object.freeze({ items }), "state");
    expect(() => items.push(1)).toThrow(TypeError);
    const next = settle({ shallow, more: Object.freeze({ list: [1] }) }, "state");
    expect(() => next.more.list.push(2)).toThrow(TypeError);
    expect(settle(next, "state")).toBe(next);
    expect(() => settle(Object.freeze({ at: Object.freeze({ on: new Date(0) }) }), "state")).toThrow("state.at.on is");
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
    ["a hole in an array", { list: Object.assign([], { length: 2 }) }, "holes"],
    ["a symbol key", { [Symbol("s")]: 1 }, "symbol keys"],
    ["infinity", { n: Infinity }, "state.n is Infinity"],
  ])("is not %s", (_name, value, message) => {
    expect(() => settle(value, "state")).toThrow(message);
  });
});
