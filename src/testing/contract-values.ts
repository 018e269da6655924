// The contract of values: what JSON cannot hold is refused with the path of the offending value; what it can hold comes
// back equal, however hostile.
import assert from "node:assert/strict";
import { type ContractCase, contractCase, event, payloadsOf, refused, withStore } from "./contract-subject.ts";

class Money {
  readonly cents: number = 5;
}

function nested(levels: number): unknown {
  let value: unknown = "deep";
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

function cyclic(): unknown {
  const value: Record<string, unknown> = { name: "ring" };
  value.self = { again: value };
  return value;
}

/** What cannot be stored, with the path that the message must name. */
const REFUSED: readonly [what: string, payload: unknown, path: string][] = [
  ["undefined in an array", { list: [1, undefined] }, "payload.list[1]"],
  ["undefined in an object", { a: { b: undefined } }, "payload.a.b"],
  ["NaN", { n: Number.NaN }, "payload.n"],
  ["Infinity", [Number.POSITIVE_INFINITY], "payload[0]"],
  ["-Infinity", { a: [{ n: Number.NEGATIVE_INFINITY }] }, "payload.a[0].n"],
  ["-0", { n: -0 }, "payload.n"],
  ["a BigInt", { n: 1n }, "payload.n"],
  ["a Date", { at: new Date(0) }, "payload.at"],
  ["a Map", { map: new Map([[1, 2]]) }, "payload.map"],
  ["a Set", new Set([1]), "payload"],
  ["a RegExp", { pattern: /x/ }, "payload.pattern"],
  ["a Buffer", { bytes: Buffer.from("x") }, "payload.bytes"],
  ["a boxed string", { s: Object("s") }, "payload.s"],
  ["an instance of a class", { price: new Money() }, "payload.price"],
  ["an array of a class", { list: new (class List extends Array {})() }, "payload.list"],
  ["a symbol", { s: Symbol("s") }, "payload.s"],
  ["symbol keys", { o: { [Symbol("s")]: 1 } }, "payload.o"],
  ["a function", { f: () => 1 }, "payload.f"],
  ["toJSON", { o: { toJSON: () => 1 } }, "payload.o"],
  ["a cycle", cyclic(), "payload.self.again"],
  ["a sparse array", { list: [1, , 3] }, "payload.list"], // oxlint-disable-line no-sparse-arrays
  ["an array with other members", { list: Object.assign([1], { x: 1 }) }, "payload.list"],
  ["too many levels", nested(10_000), "payload"],
];

/** What must come back equal. */
const STORED: readonly [what: string, payload: unknown][] = [
  ["line separators", "a\u2028b\u2029c\r\n\u0085\u0000\u001f\u007f"],
  ["lone surrogates", ["\ud800", "\udfff x", "x\udc00\ud800y"]],
  ["emoji", { "\u{1f469}\u200d\u{1f680}": "\u{1f468}\u200d\u{1f469}\u200d\u{1f467} \u0301 \u202e" }],
  ["an own __proto__", JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":2}')],
  ["empty keys", { "": { "": [""] } }],
  ["keys of the envelope", { seq: 1, crc: "00000000", kind: "gap", durable: 9, timestamp: 0, papyra: 1 }],
  ["what looks like lines", '{"seq":99,"kind":"event"},"crc":"00000000"}\n{"seq":1,"kind":"gap","from":1,"to":9}\n'],
  ["numbers", [0, 1e308, 5e-324, Number.MAX_SAFE_INTEGER, 2 ** 53 + 2, -1.5, 0.1 + 0.2]],
  ["plain things", [null, true, false, "", [], {}, [[]], { a: null }]],
  ["150 levels", nested(150)],
  ["no prototype", Object.assign(Object.create(null), { a: 1 })],
  ["a string of 1 MiB", "\u00e9".repeat(1 << 19)],
  ["many members", Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`k${i}`, i]))],
  ["the same object twice", ((shared: object) => [shared, shared])({ a: 1 })],
];

export const valueCases: readonly ContractCase[] = [
  contractCase("what JSON cannot hold is refused with its path, and uses no seq", async (place) => {
    await withStore(place.backend(), async (store) => {
      for (const [what, payload, path] of REFUSED) {
        const error = await refused(store.append("events", [event("fine"), event(payload)]), "RECORD_INVALID");
        assert.ok(error.message.startsWith(path), `${what}: the message begins with ${path}: ${error.message}`);
        assert.ok(String(error.details.path).startsWith(path), `${what}: details.path`);
        assert.equal(store.offer("events", event(payload)), false, what);
        assert.equal(store.lastSeq("events"), 0, what);
      }
      assert.equal(store.stats().lostRecords, REFUSED.length);
      assert.equal((await store.append("events", [event("next")])).firstSeq, 1);
      assert.deepEqual(await payloadsOf(store, "events"), ["next"]);
    });
  }),

  contractCase("hostile payloads come back equal, and after opening again too", async (place) => {
    const check = async (read: readonly unknown[]): Promise<void> => {
      assert.equal(read.length, STORED.length);
      STORED.forEach(([what, payload], i) => {
        // As JSON: what JSON.parse makes of it is what a reader gets, prototypes aside.
        assert.equal(JSON.stringify(read[i]), JSON.stringify(payload), what);
        assert.ok(!("polluted" in {}), "nothing was polluted");
      });
    };
    await withStore(place.backend(), async (store) => {
      for (const [, payload] of STORED) await store.append("journal", [event(payload)]);
      await check(await payloadsOf(store, "journal"));
    });
    await withStore(place.backend(), async (store) => check(await payloadsOf(store, "journal")));
  }),
];
