// Which lineage a line is of, and what identity lines alone tell of the lineages of a store.
import { expect, test } from "vitest";
import { encodeIdentity, seedOf } from "../../src/log/codec.ts";
import { allIdentities, identityAt, lineagesFrom, type Lineages } from "../../src/log/lineage.ts";
import { type Identity, LOG_NAMES, type LogName } from "../../src/log/record.ts";

const until = (events: number, journal: number): Record<LogName, number> => ({
  ...(Object.fromEntries(LOG_NAMES.map((log) => [log, 0])) as Record<LogName, number>),
  events,
  journal,
});
const three: Lineages = {
  store: "s",
  lineage: "c",
  ancestors: [
    { lineage: "a", until: until(10, 5) },
    { lineage: "b", until: until(20, 5) },
  ],
};

test("a seq is of the first lineage that reaches it, and of the store's own behind all of them", () => {
  const of = (log: LogName, seq: number | undefined) => identityAt(three, log, seq);
  expect([1, 10, 11, 20, 21, undefined].map((seq) => of("events", seq).lineage)).toEqual([
    "a",
    "a",
    "b",
    "b",
    "c",
    "c",
  ]);
  expect([5, 6].map((seq) => of("journal", seq).lineage)).toEqual(["a", "c"]);
  expect(of("events", 10)).toEqual({ log: "events", store: "s", lineage: "a" });
  expect(of("events", 11)).toEqual({ log: "events", store: "s", lineage: "b", parent: "a", after: 10 });
  expect(of("events", undefined)).toEqual({ log: "events", store: "s", lineage: "c", parent: "b", after: 20 });
});

test("no two lineages of a log share a seed", () => {
  const seeds = new Set(
    ["events", "journal"].flatMap((log) =>
      [5, 20, undefined].map((seq) => seedOf(encodeIdentity(identityAt(three, log as LogName, seq)))),
    ),
  );
  expect(seeds.size).toBe(5); // the second lineage wrote no journal
});

test("the lineages come back from the identity lines, in any order", () => {
  const stated = allIdentities(three);
  expect(lineagesFrom(stated)).toEqual(three);
  expect(lineagesFrom([...stated].reverse())).toEqual(three);
  expect(lineagesFrom([])).toBeUndefined();
  expect(lineagesFrom([identityAt({ store: "s", lineage: "a" }, "events", 1)])).toEqual({ store: "s", lineage: "a" });
});

test("identity lines that name each other in a circle end, and one of another store has no vote", () => {
  const circle = lineagesFrom([
    { log: "events", store: "s", lineage: "a", parent: "b", after: 1 },
    { log: "events", store: "s", lineage: "b", parent: "a", after: 1 },
  ]);
  expect(circle?.store).toBe("s");
  expect(lineagesFrom([...allIdentities(three), { log: "events", store: "t", lineage: "z" }])).toEqual(three);
});

test("where nothing is left of a lineage in between, what is left is of those before it, and not of another way on", () => {
  const at = (after: number) => ({ ...until(after, after), audits: after, dead_letters: after, snapshots: after });
  const own = LOG_NAMES.map((log) => ({ log, store: "s", lineage: "d", parent: "c", after: 30 }));
  const older: Identity[] = [
    { log: "events", store: "s", lineage: "b", parent: "a", after: 10 },
    { log: "events", store: "s", lineage: "a" },
  ];
  const left: Identity[] = [
    { log: "events", store: "s", lineage: "x", parent: "c", after: 20 },
    { log: "events", store: "s", lineage: "y", parent: "x", after: 25 },
  ];
  const found = { store: "s", lineage: "d", ancestors: [{ lineage: "c", until: at(30) }] };
  expect(lineagesFrom([...own, ...left])).toEqual(found);
  const all = lineagesFrom([...own, ...left, ...older]);
  expect(all?.ancestors?.map(({ lineage }) => lineage)).toEqual(["a", "b", "c"]);
  for (const one of older) expect(identityAt(all as Lineages, "events", one.after === 10 ? 11 : 1)).toEqual(one);
});
