// A process with an actor system on a disk that fails. Three persistent actors keep lists until their asks are refused; then
// it says what became of every later ask, and what plain actors answer meanwhile. When its parent has mended the disk, it
// goes on with a new system on the same store. Arguments: the path of the store, where recovery keeps what it takes out.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { ActorSystem, fileStore, persistentActor } from "../../dist/index.js";

const [path, quarantineDir] = process.argv.slice(2);
const IDS = ["a", "b", "c"];
const LATE_ASKS = 5;
/** An actor that is never refused is told apart from one that is. */
const ADDS_MOST = 2000;
const list = persistentActor(
  {
    type: "list",
    initial: () => ({ numbers: [] }),
    events: { added: (state, { n }) => ({ numbers: [...state.numbers, n] }) },
  },
  {
    add: (_state, { n }, ctx) => ctx.persist("added", { n, text: "x".repeat(300) }).reply(() => n),
    numbers: (state, _command, ctx) => ctx.reply(state.numbers),
  },
);
const doubler = () => ({ receive: ({ n }) => 2 * n });
const say = (...words) => writeSync(1, `${words.join(" ")}\n`);
let n = 0;

async function start() {
  const store = fileStore({ path, segmentBytes: 16_384 });
  const system = new ActorSystem({ store, startup: "recover", quarantineDir });
  await system.start();
  return system;
}

/** Whether it was acknowledged. */
async function add(system, id) {
  const mine = ++n;
  const said = await system
    .get(list, id)
    .ask("add", { n: mine })
    .then(
      () => "ack",
      (error) => error.code ?? error.message,
    );
  say("add", id, mine, said);
  return said === "ack";
}

async function addUntilRefused(system, id) {
  for (let adds = 0; adds < ADDS_MOST && (await add(system, id)); adds++);
}

/** Every plain actor, old and new, must answer as if nothing had happened. */
async function askPlainActors(system, old) {
  let right = 0;
  for (let i = 0; i < LATE_ASKS; i++) {
    const fresh = system.spawn(`fresh-${i}`, doubler);
    const answers = await Promise.all([old.ask({ n: i }), fresh.ask({ n: i })]);
    right += answers.filter((answer) => answer === 2 * i).length;
    await fresh.stop();
  }
  return right;
}

async function untilBroken() {
  const system = await start();
  const old = system.spawn("old", doubler);
  await Promise.all(IDS.map((id) => addUntilRefused(system, id)));
  say("refused");
  for (let i = 0; i < LATE_ASKS; i++) for (const id of IDS) await add(system, id);
  const plain = await askPlainActors(system, old);
  const { recordsLost, problems } = system.metrics();
  const { ok, failure } = await system.stop();
  say("broken", JSON.stringify({ plain, recordsLost, problems, ok, code: failure?.code }));
}

async function afterwards() {
  const system = await start();
  for (const id of IDS) say("state", id, JSON.stringify(await system.get(list, id).ask("numbers")));
  for (let i = 0; i < LATE_ASKS; i++) await Promise.all(IDS.map((id) => add(system, id)));
  const { ok, recordsLost } = await system.stop();
  say("mended", JSON.stringify({ ok, recordsLost }));
}

await untilBroken();
for await (const _ of createInterface({ input: process.stdin })) await afterwards();
