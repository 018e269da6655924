// Lives of actors while their clock goes wrong (shim.c), in this process, one after the other. Arguments: the root of the built
// package, a directory to work in. One JSON line a clock.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Shim } from "./shim/shim.mjs";

const [root, work] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(root, `dist/${name}.js`)).href);
const { ActorSystem, fileStore, persistentActor } = await load("index");
const { fileBackend } = await load("backends/files");
const { backups } = await load("backup/index");
const { nodeEnv } = await load("env/node");
const { scan } = await load("ops/scan");
const shim = Shim.ofThisProcess();
const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

/** From one step to the next. */
const CLOCKS = {
  "goes back by an hour": [{}, { offsetMs: -HOUR }, { offsetMs: -HOUR }],
  "goes back by a year, then right again": [{}, { offsetMs: -YEAR }, {}],
  "goes on by a year, then right again": [{}, { offsetMs: YEAR }, {}],
  "stands still": [{ frozenMs: Date.now() }, { frozenMs: Date.now() }, { frozenMs: Date.now() }],
  "says 1970": [{ frozenMs: 1 }, { frozenMs: 2 }, { frozenMs: 1 }],
  "passes January 2038": [0, 1000, 2000].map((ms) => ({ frozenMs: 2 ** 31 * 1000 - 1000 + ms })),
  "ends daylight saving time": [0, 1000, 2000].map((ms) => ({ frozenMs: Date.UTC(2026, 10, 1, 5, 59, 59) + ms })),
};

const list = persistentActor(
  {
    type: "list",
    initial: () => ({ numbers: [] }),
    events: { added: (state, { n }) => ({ numbers: [...state.numbers, n] }) },
    snapshot: { everyEvents: 4 },
  },
  {
    add: (_state, { n }, ctx) => ctx.persist("added", { n }).reply(() => n),
    numbers: (state, _command, ctx) => ctx.reply(state.numbers),
  },
);

/** Three processes would do the same: each step starts a new system on the store of the one before. */
async function live(clock, place) {
  const path = join(place, "persistence");
  const repository = backups(join(place, "backups"));
  const wrong = [];
  let last;
  let n = 0;
  for (const [step, time] of CLOCKS[clock].entries()) {
    const system = new ActorSystem({ store: fileStore({ path, segmentBytes: 4096 }) });
    await system.start();
    for (let i = 0; i < 5; i++) await system.get(list, "a").ask("add", { n: ++n });
    shim.clock(time); // jumps while the system runs
    for (let i = 0; i < 5; i++) await system.get(list, "a").ask("add", { n: ++n });
    await system.compact({
      retention: { events: { maxRecords: 3 }, journal: { maxRecords: 0 }, audits: { maxAgeMs: HOUR } },
    });
    const { backup } = await system.backup(repository);
    last = backup.id;
    const numbers = await system.get(list, "a").ask("numbers");
    const { ok } = await system.stop();
    const expected = Array.from({ length: n }, (_, i) => i + 1);
    if (JSON.stringify(numbers) !== JSON.stringify(expected))
      wrong.push(`step ${step}: I14: the state is ${numbers.join()}`);
    if (!ok) wrong.push(`step ${step}: the system did not stop cleanly`);
    if (backup.verdict !== "good") wrong.push(`step ${step}: I9: the backup is ${backup.verdict}`);
    const found = await scan(fileBackend({ path }, nodeEnv));
    if (!found.ok) wrong.push(`step ${step}: I3: ${found.verdict} ${JSON.stringify(found.anomalies)}`);
  }
  const { ok, verdict } = await repository.verify({ level: "replay" });
  if (!ok) wrong.push(`I9: ${verdict}`);
  const target = join(place, "restored");
  // The newest by its clock may be another one.
  await repository.restore(target, { point: { backup: last } });
  const restored = new ActorSystem({ store: fileStore({ path: target }) });
  await restored.start();
  const numbers = await restored.get(list, "a").ask("numbers");
  if (numbers.length !== n) wrong.push(`I9: restored, there are ${numbers.length} of ${n}`);
  await restored.stop();
  return { clock, steps: CLOCKS[clock].length, acknowledged: n, wrong };
}

for (const clock of Object.keys(CLOCKS)) {
  shim.clock();
  const started = performance.now();
  const found = await live(clock, join(work, clock.replaceAll(" ", "-"))).catch((error) => ({
    clock,
    wrong: [error.stack],
  }));
  writeSync(1, `${JSON.stringify({ ...found, ms: Math.round(performance.now() - started) })}\n`);
}
