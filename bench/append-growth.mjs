// Durable appends to stores that have a history already, in turn.
import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileStore, openStore } from "../dist/index.js";
import { event, makeHistory } from "./history.mjs";
import { rounds, timed } from "./measure.mjs";
import { label, labels } from "./sizes.mjs";

const SIZES = [10_000, 100_000, 1_000_000];
const WRITERS = 1000;
const EACH = 60;

/** To a copy, since the next round shall find the same history. */
async function appended(history) {
  const path = `${history}-copy`;
  cpSync(history, path, { recursive: true });
  spawnSync("sync"); // as after making it
  const store = await openStore(fileStore({ path }));
  let n = 0;
  const rate = await timed(WRITERS * EACH, () =>
    Promise.all(
      Array.from({ length: WRITERS }, async () => {
        for (let i = 0; i < EACH; i++) await store.append("events", [event((n += 1))]);
      }),
    ),
  );
  await store.close();
  rmSync(path, { recursive: true });
  return rate;
}

export async function benchAppendGrowth(base, roundCount) {
  const rivals = {};
  for (const size of SIZES.toReversed()) {
    const history = join(base, `append-${size}`);
    await makeHistory(history, "events", size, event, 64 << 20);
    rivals[label(size)] = () => appended(history);
  }
  const result = await rounds(roundCount, rivals);
  for (const size of SIZES) rmSync(join(base, `append-${size}`), { recursive: true });
  const rates = SIZES.map((size) => Math.round(result[label(size)].perSecond).toLocaleString("en-US"));
  return [
    {
      what: `durable append, ${WRITERS.toLocaleString("en-US")} concurrent writers, to ${labels(SIZES)} records`,
      papyra: `${rates.join(" / ")} records/s`,
      ratios: { [`the one to ${label(SIZES[0])}`]: result[label(SIZES[0])].ratio },
      budget: "flat",
    },
  ];
}
