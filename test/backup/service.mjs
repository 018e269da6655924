// A service that writes without pause until it is killed, or its parent is gone, and tells its parent of every acknowledgement. For each line that it
// reads it backs its store up, or compacts it, meanwhile. Arguments: the root of a built package, where it lives, a seed.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [root, home, seed] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(path).href);
const { ActorSystem, fileStore } = await load(join(root, "dist/index.js"));
const { backups } = await load(join(root, "dist/backup/index.js"));
const { account } = await load(join(home, "account.mjs"));

let state = Number(seed) >>> 0;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
/** One small write to a pipe is atomic: the parent sees whole lines. */
const say = (line) => void writeSync(1, `${line}\n`);

const store = fileStore({ path: join(home, "persistence"), segmentBytes: 50_000 });
const system = new ActorSystem({ store });
const repository = backups(join(home, "backups"));
const WORK = {
  backup: async () => {
    const { backup } = await system.backup(repository, { states: [account], share: 1 });
    return `${backup.id} ${backup.verdict}`;
  },
  compact: async () =>
    (await system.compact({ retention: { events: { maxRecords: 1 }, audits: { maxRecords: 1 } } })).verdict,
};

async function writeForever(id) {
  const ref = system.get(account, id);
  for (;;) {
    const revision = await ref.ask(
      "add",
      { text: "x".repeat(Math.floor(random() ** 3 * 1000)) },
      { timeoutMs: 60_000 },
    );
    say(`ack ${id} ${revision} ${Date.now()}`);
    if (revision % 25 === 0) system.audit();
  }
}

await system.start();
say(`open ${system.startupReport?.verdict}`);
for (const id of ["0", "1", "2"]) void writeForever(id);
for await (const work of createInterface({ input: process.stdin })) {
  say(`begin ${work}`);
  say(
    await WORK[work]().then(
      (done) => `done ${done}`,
      (error) => `failed ${error.code} ${error.message}`,
    ),
  );
}
process.exit(0);
