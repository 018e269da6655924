// The newest event of an actor is damaged and recovered from: what is left of its history looks whole. The gap record says
// whose event it was, so that the actor does not go on as if it had never happened.
import { expect, test } from "vitest";
import { ActorSystem, memoryStore, persistentActor } from "../../src/index.ts";
import { recover } from "../../src/ops/recover.ts";
import { replay } from "../../src/ops/replay.ts";

const definitionWith = (historyGaps: "stop" | "accept") =>
  persistentActor(
    {
      type: "account",
      initial: () => ({ balance: 0 }),
      events: { deposited: (state, e: { amount: number }) => ({ balance: state.balance + e.amount }) },
      historyGaps,
    },
    {
      deposit: (_state, c: { amount: number }, ctx) => ctx.persist("deposited", c).reply((after) => after.balance),
      balance: (state, _: unknown, ctx) => ctx.reply({ balance: state.balance, revision: ctx.revision }),
    },
  );

async function damagedAndRecovered() {
  const store = memoryStore();
  const account = definitionWith("stop");
  const system = new ActorSystem({ store });
  await system.start();
  await system.get(account, "other").ask("deposit", { amount: 1 });
  for (const amount of [10, 20, 30]) await system.get(account, "42").ask("deposit", { amount });
  await system.get(account, "other").ask("deposit", { amount: 2 });
  await system.stop();
  const journal = store.segmentBytes("journal.ndjson");
  const at = journal.indexOf('"amount":30');
  journal[at + 9] = 0x39; // 30 becomes 90: JSON that nobody but the checksum can object to
  const report = await recover(store, { mode: "quarantine", quarantineDir: "q" });
  expect(report.ok).toBe(true);
  expect(report.gaps).toMatchObject([{ log: "journal", from: 4, to: 4, reason: "quarantined" }]);
  return { store, account };
}

test("the actor refuses to go on without its newest event; others do not notice", async () => {
  const { store, account } = await damagedAndRecovered();
  const system = new ActorSystem({ store });
  await system.start();
  await expect(system.get(account, "42").ask("balance", {})).rejects.toMatchObject({ code: "HISTORY_DAMAGED" });
  expect(await system.get(account, "other").ask("balance", {})).toEqual({ balance: 3, revision: 2 });
  await system.stop();
  const replayed = await replay(store, { definitions: [account] });
  expect(replayed.problems.map((problem) => problem.persistenceId)).toEqual(["account/42"]);
});

test("who accepts the loss goes on, and no revision is used again", async () => {
  const { store } = await damagedAndRecovered();
  const account = definitionWith("accept");
  for (const [amount, balance, revision] of [
    [5, 35, 4],
    [6, 41, 5],
  ] as const) {
    const system = new ActorSystem({ store });
    await system.start();
    expect(await system.get(account, "42").ask("deposit", { amount })).toBe(balance);
    expect(await system.get(account, "42").ask("balance", {})).toEqual({ balance, revision });
    await system.stop();
  }
});

test("where nothing says whose events are gone, a verified replay does not say that all is well", async () => {
  const { store, account } = await damagedAndRecovered();
  const journal = store.segmentBytes("journal.ndjson");
  const last = journal.indexOf('{"seq":5,');
  journal.fill(0, last, journal.indexOf(0x0a, last)); // not even the ids are left
  expect((await recover(store, { mode: "repair" })).ok).toBe(true);
  const replayed = await replay(store, { definitions: [account], verify: true });
  expect(replayed.ok).toBe(false);
  expect(replayed.unattributed).toEqual([{ from: 5, to: 5 }]);
  expect(replayed.verdict).toContain("nothing says whose");
});
