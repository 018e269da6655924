// What every place for objects must do, whatever it is made of. Each case gets a fresh place, and may open it several times, as
// several processes would.
import assert from "node:assert/strict";
import type { ObjectInfo, ObjectStore } from "../../src/backup/objects.ts";
import { isPapyraError } from "../../src/errors.ts";

export interface Subject {
  open(): ObjectStore;
  /** The most bytes that an object may have here. */
  readonly bytesMax: number;
  /** What names may look like here, of those that are allowed. */
  readonly names: RegExp;
  /** Takes away whatever a hold is kept in, behind its holder's back. */
  breakHolds(): Promise<void>;
}

export interface Case {
  readonly name: string;
  /** Whether it makes sense only where several processes may work at a time. */
  readonly shared?: true;
  /** Whether several act at the same instant, of whom one must win. */
  readonly races?: true;
  readonly run: (subject: Subject) => Promise<void>;
}

export const bytesOf = (text: string): Buffer => Buffer.from(text);

export async function listed(store: ObjectStore, prefix = ""): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const object of store.list(prefix)) found.push(object);
  return found;
}

export const namesOf = async (store: ObjectStore, prefix = ""): Promise<string[]> =>
  (await listed(store, prefix)).map(({ name }) => name);

/** The error of that code with which a call must reject. */
export async function refusal(
  call: Promise<unknown>,
  code: string,
): Promise<Error & { details: unknown; hint: unknown }> {
  const error: unknown = await call.then(
    (value) => assert.fail(`it resolved with ${String(value)}, not with ${code}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(isPapyraError(error), `not a PapyraError: ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

const ELSEWHERE = ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", ".hidden", "a/.hidden"];
const ODD = ["a b", "a\\b", "a\0", "a\n", "ä", "a:b", "%2e%2e", "a?b", "a#b", "*"];
const OWN = ["holds", "holds/x.json", "repository.lock", "a.tmp-0123abcd"];
const LONG = ["x".repeat(201), Array.from({ length: 60 }, () => "x".repeat(10)).join("/")];
const HOSTILE = [...ELSEWHERE, ...ODD, ...OWN, ...LONG];

const NAMES = ["a-b", "a.b", "a/b", "a/c/d", "a/c-d", "a0", "aa/b", "b", "b-/c", "B/a", "_/x", "Z", "a_", "0/0"];

export const objectsContract: readonly Case[] = [
  {
    name: "what was put is there, byte for byte, until it is put anew or removed",
    async run(subject) {
      const store = subject.open();
      const all = Buffer.from(Array.from({ length: 1024 }, (_, n) => n % 256));
      const before = Date.now();
      assert.equal(await store.put("segments/one", all), true);
      const later = subject.open();
      assert.deepEqual(await later.get("segments/one"), all);
      const stat = await later.stat("segments/one");
      assert.deepEqual({ name: stat?.name, bytes: stat?.bytes }, { name: "segments/one", bytes: 1024 });
      assert.ok(Math.abs((stat?.storedMs ?? 0) - before) < 60_000, `stored at ${stat?.storedMs}`);
      assert.equal(await later.put("segments/one", bytesOf("other")), true);
      assert.deepEqual(await store.get("segments/one"), bytesOf("other"));
      await store.remove("segments/one");
      assert.equal(await later.get("segments/one"), undefined);
      assert.equal(await later.stat("segments/one"), undefined);
      await store.remove("segments/one");
    },
  },
  {
    name: "where nothing was ever put nothing is found, and removing it is no failure",
    async run(subject) {
      const store = subject.open();
      assert.equal(await store.get("a"), undefined);
      assert.equal(await store.stat("a/b"), undefined);
      assert.deepEqual(await namesOf(store), []);
      await store.remove("a/b");
    },
  },
  {
    name: "ifAbsent stores what is not there, and else changes nothing",
    async run(subject) {
      const store = subject.open();
      assert.equal(await store.put("x/y", bytesOf("first"), { ifAbsent: true }), true);
      assert.equal(await subject.open().put("x/y", bytesOf("second"), { ifAbsent: true }), false);
      assert.equal(await store.put("x/y", bytesOf("first"), { ifAbsent: true }), false, "the same bytes are no excuse");
      assert.deepEqual(await store.get("x/y"), bytesOf("first"));
      await store.remove("x/y");
      assert.equal(await store.put("x/y", bytesOf("third"), { ifAbsent: true }), true);
      assert.deepEqual(await store.get("x/y"), bytesOf("third"));
      assert.deepEqual(await namesOf(store), ["x/y"], "nothing else was left");
    },
  },
  {
    name: "of several who put with ifAbsent exactly one wins, and its bytes are there",
    shared: true,
    races: true,
    async run(subject) {
      for (let round = 0; round < 3; round++) {
        const stores = Array.from({ length: 6 }, () => subject.open());
        const name = `race/${round}`;
        const won = await Promise.all(
          stores.map((store, n) => store.put(name, bytesOf(`from ${n}`), { ifAbsent: true })),
        );
        assert.equal(won.filter(Boolean).length, 1, `round ${round}: ${won.join(" ")}`);
        assert.deepEqual(await subject.open().get(name), bytesOf(`from ${won.indexOf(true)}`));
      }
    },
  },
  {
    name: "a list is sorted by whole names and holds exactly what begins with the prefix",
    async run(subject) {
      const store = subject.open();
      const sorted = NAMES.filter((name) => subject.names.test(name)).sort();
      await Promise.all(sorted.toReversed().map((name) => store.put(name, bytesOf(name))));
      for (const prefix of ["", "a", "a/", "a/c", "a/c/", "a/c/d", "a/c/d/", "b", "b/", "x", "A", "a-b", "_/", "0/0"]) {
        const wanted = sorted.filter((name) => name.startsWith(prefix));
        assert.deepEqual(await namesOf(store, prefix), wanted, `prefix ${JSON.stringify(prefix)}`);
      }
      assert.deepEqual(
        (await listed(store)).map(({ bytes }) => bytes),
        sorted.map((name) => name.length),
      );
      await store.remove("a/c/d");
      assert.deepEqual(await namesOf(store, "a/c"), ["a/c-d"]);
    },
  },
  {
    name: "names that lead elsewhere, or belong to the place itself, are refused by every verb",
    async run(subject) {
      const store = subject.open();
      for (const name of HOSTILE) {
        await refusal(store.put(name, bytesOf("x")), "INTERNAL");
        await refusal(store.put(name, bytesOf("x"), { ifAbsent: true }), "INTERNAL");
        await refusal(store.get(name), "INTERNAL");
        await refusal(store.stat(name), "INTERNAL");
        await refusal(store.remove(name), "INTERNAL");
      }
      assert.deepEqual(await namesOf(store), []);
    },
  },
  {
    name: "an object may be empty",
    async run(subject) {
      const store = subject.open();
      assert.equal(await store.put("empty", Buffer.alloc(0), { ifAbsent: true }), true);
      assert.deepEqual(await store.get("empty"), Buffer.alloc(0));
      assert.deepEqual(
        (await listed(store)).map(({ name, bytes }) => [name, bytes]),
        [["empty", 0]],
      );
    },
  },
  {
    name: "the start of an object is its first bytes, with what is known of all of it",
    async run(subject) {
      const store = subject.open();
      const start = store.start?.bind(store);
      if (start === undefined) return;
      await store.put("a/long", Buffer.alloc(100_000, "abcdefghij"));
      await store.put("a/short", bytesOf("abc"));
      await store.put("a/empty", Buffer.alloc(0));
      for (const [name, size, first] of [
        ["a/long", 100_000, "abcdefghijab"],
        ["a/short", 3, "abc"],
        ["a/empty", 0, ""],
      ] as const) {
        const found = await start(name, 12);
        const stat = await store.stat(name);
        assert.deepEqual([name, String(found?.bytes), found?.info], [name, first, stat]);
        assert.equal(stat?.bytes, size);
      }
      assert.equal(await start("a/none", 12), undefined);
    },
  },
  {
    name: "an object may be as large as the limit, and no larger",
    async run(subject) {
      const store = subject.open();
      const large = Buffer.alloc(subject.bytesMax, "papyra");
      assert.equal(await store.put("large", large, { ifAbsent: true }), true);
      const back = await store.get("large");
      assert.ok(back !== undefined && large.equals(back));
      await refusal(store.put("larger", Buffer.alloc((16 << 20) + 1)), "INTERNAL");
    },
  },
  {
    name: "who reads while others put gets one whole object or another",
    async run(subject) {
      const store = subject.open();
      const versions = [1, 70_000, 300, 200_000].map((length, n) => Buffer.alloc(length, String(n)));
      await store.put("catalog", versions[0] as Buffer);
      let writing = true;
      const writer = (async () => {
        for (let n = 1; n <= 24; n++) await store.put("catalog", versions[n % 4] as Buffer);
        writing = false;
      })();
      const reader = subject.open();
      while (writing) {
        const back = (await reader.get("catalog")) ?? Buffer.alloc(0);
        assert.ok(
          versions.some((version) => version.equals(back)),
          `${back.length} bytes are none of those that were put`,
        );
      }
      await writer;
    },
  },
  {
    name: "any number may hold shared, one alone exclusive; who is refused is told who holds; lists do not show it",
    async run(subject) {
      const [first, second, third] = [subject.open(), subject.open(), subject.open()];
      const one = await first.hold("shared", "backup");
      const two = await second.hold("shared", "verify");
      await one.assertHeld();
      await two.assertHeld();
      assert.deepEqual(await namesOf(third), []);
      const refused = await refusal(third.hold("exclusive", "prune"), "REPOSITORY_LOCKED");
      const { pid, name: host } = first.env.host;
      assert.ok(refused.message.includes(`held by pid ${pid} on ${host} since 20`), refused.message);
      assert.match(refused.message, /^the prune cannot begin: .* \((?:backup|verify)\)$/);
      await one.release();
      await refusal(third.hold("exclusive", "prune"), "REPOSITORY_LOCKED");
      await two.release();
      const three = await third.hold("exclusive", "prune");
      await three.assertHeld();
      assert.match((await refusal(first.hold("shared", "backup"), "REPOSITORY_LOCKED")).message, /\(prune\)$/);
      await refusal(first.hold("exclusive", "prune"), "REPOSITORY_LOCKED");
      await three.assertHeld();
      await three.release();
      await (await first.hold("shared", "backup")).release();
    },
  },
  {
    name: "of several who want it exclusive exactly one gets it",
    shared: true,
    races: true,
    async run(subject) {
      for (let round = 0; round < 2; round++) {
        const wanted = await Promise.allSettled(
          Array.from({ length: 5 }, (_, n) => subject.open().hold(n === 4 ? "shared" : "exclusive", `work ${n}`)),
        );
        const got = wanted.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
        assert.equal(got.length, 1, `round ${round}: ${got.length} hold it`);
        for (const one of wanted) if (one.status === "rejected") assert.equal(one.reason.code, "REPOSITORY_LOCKED");
        await got[0]?.assertHeld();
        await got[0]?.release();
      }
    },
  },
  {
    name: "a hold that was taken away says so, and lets others hold",
    async run(subject) {
      const lost = await subject.open().hold("exclusive", "prune");
      await subject.breakHolds();
      const refused = await refusal(lost.assertHeld(), "REPOSITORY_LOCKED");
      assert.match(refused.message, /^the prune holds .* no more|was removed/);
      const next = await subject.open().hold("exclusive", "prune");
      await refusal(lost.assertHeld(), "REPOSITORY_LOCKED");
      await lost.release();
      await next.assertHeld();
      await refusal(subject.open().hold("shared", "backup"), "REPOSITORY_LOCKED");
      await next.release();
    },
  },
];
