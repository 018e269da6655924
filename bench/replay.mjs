// One actor alone, of ever more events, against JSON.parse of the lines of its log: when its index has to be made first, and
// when the index is there, as after any start that follows a clean stop. In CPU time, of which a busy machine takes less away.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ActorSystem, persistentActor } from "../dist/index.js";
import { alone } from "./alone.mjs";
import { decided, makeHistory, place } from "./history.mjs";
import { cpuSeconds, median } from "./measure.mjs";
import { label, labels, list } from "./sizes.mjs";

const SIZES = [10_000, 100_000, 1_000_000];

const account = persistentActor(
  {
    type: "account",
    initial: () => ({ balance: 0 }),
    events: { deposited: (state, e) => ({ balance: state.balance + e.amount }) },
  },
  { balance: (state, _, ctx) => ctx.reply(state.balance) },
);

export async function benchReplay(base, rounds) {
  const found = [];
  for (const size of SIZES) found.push(await alone(import.meta.url, "replayed", join(base, "replay"), rounds, size));
  return ["made", "there"].map((index) => ({
    what: `recovering one actor of ${labels(SIZES)} events, its index ${index === "made" ? "made first" : "there"}`,
    papyra: `${list(
      found.map((each) => each[index].perSecond / 1e6),
      2,
    )} M events a CPU second`,
    ratios: Object.fromEntries(
      found.map((each, i) => [`JSON.parse of its lines at ${label(SIZES[i])}`, each[index].ratio]),
    ),
    budget: `0.5 of JSON.parse, index ${index === "made" ? "made first (once)" : "there"}`,
  }));
}

/** In a process of its own. */
export async function replayed(path, rounds, events) {
  await makeHistory(path, "journal", events, (n) => decided("account/1", n));
  const costs = { made: [], there: [], parse: [] };
  const warmUps = Math.max(1, 100_000 / events);
  for (let round = -warmUps; round < rounds; round++) {
    rmSync(join(path, "index"), { recursive: true, force: true });
    const cost = { made: await recovered(path), there: await recovered(path), parse: await parsed(path) };
    if (round >= 0) for (const name of Object.keys(costs)) costs[name].push(cost[name]); // the others warm up
  }
  rmSync(path, { recursive: true });
  const rated = (name) => ({
    perSecond: events / median(costs[name]),
    ratio: median(costs.parse.map((cost, round) => cost / costs[name][round])),
  });
  return { made: rated("made"), there: rated("there") };
}

async function recovered(path) {
  const system = new ActorSystem({ store: place(path), startup: "ignore" });
  await system.start();
  const cost = await cpuSeconds(() => system.get(account, "1").ask("balance", {}, { timeoutMs: 600_000 }));
  await system.stop();
  return cost;
}

/** Reading and splitting do not count. */
async function parsed(path) {
  let cost = 0;
  for (const name of readdirSync(path).filter((each) => each.startsWith("journal"))) {
    const lines = readFileSync(join(path, name), "utf8")
      .split("\n")
      .filter((line) => line.startsWith('{"seq"'));
    cost += await cpuSeconds(() => lines.forEach((line) => JSON.parse(line)));
  }
  return cost;
}
