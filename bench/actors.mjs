// Messages between actors in memory: tell and ask, against nact; the heap that an idle actor takes; durable commands.
import { dispatch, query, spawn, start, stop } from "nact";
import { join } from "node:path";
import { ActorSystem, fileStore, persistentActor } from "../dist/index.js";
import { alone } from "./alone.mjs";
import { rounds, timed } from "./measure.mjs";

const TELLS = 300_000;
const ASKS = 60_000;

async function papyraTell() {
  const system = new ActorSystem();
  await system.start();
  let done;
  const finished = new Promise((resolve) => (done = resolve));
  const actor = system.spawn(
    "counter",
    () => {
      let count = 0;
      return { receive: (amount) => void ((count += amount) === TELLS && done()) };
    },
    { mailboxMax: 1_000_000 },
  );
  const rate = await timed(TELLS, async () => {
    for (let i = 0; i < TELLS; i++) actor.tell(1);
    await finished;
  });
  await system.stop();
  return rate;
}

async function nactTell() {
  const system = start();
  let done;
  const finished = new Promise((resolve) => (done = resolve));
  const actor = spawn(system, (count = 0, amount) => {
    if (count + amount === TELLS) done();
    return count + amount;
  });
  const rate = await timed(TELLS, async () => {
    for (let i = 0; i < TELLS; i++) dispatch(actor, 1);
    await finished;
  });
  stop(system);
  return rate;
}

async function papyraAsk() {
  const system = new ActorSystem();
  await system.start();
  const actor = system.spawn("echo", () => ({ receive: (n) => n }));
  const rate = await timed(ASKS, async () => {
    for (let i = 0; i < ASKS; i++) await actor.ask(i);
  });
  await system.stop();
  return rate;
}

async function nactAsk() {
  const system = start();
  const actor = spawn(system, (state, { n, sender }) => {
    dispatch(sender, n);
    return state;
  });
  const rate = await timed(ASKS, async () => {
    for (let i = 0; i < ASKS; i++) await query(actor, (sender) => ({ n: i, sender }), 5000);
  });
  stop(system);
  return rate;
}

/** In a process of its own: garbage that others left would be counted as memory that is won. */
export async function idleActorBytes() {
  const system = new ActorSystem();
  await system.start();
  const factory = () => ({ receive: () => undefined });
  const count = 100_000;
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  const refs = [];
  for (let i = 0; i < count; i++) refs.push(system.spawn(`a${i}`, factory));
  await new Promise((resolve) => setTimeout(resolve, 200));
  globalThis.gc();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  if (refs.length !== count) throw new Error("unreachable");
  await system.stop();
  return bytes;
}

async function durableCommands(base) {
  const account = persistentActor(
    {
      type: "account",
      initial: () => ({ balance: 0 }),
      events: { deposited: (state, e) => ({ balance: state.balance + e.amount }) },
    },
    { deposit: (_state, c, ctx) => ctx.persist("deposited", c).reply((after) => after.balance) },
  );
  const system = new ActorSystem({ store: fileStore({ path: join(base, "durable") }) });
  await system.start();
  const actors = 1000;
  const each = 30;
  const rate = await timed(actors * each, () =>
    Promise.all(
      Array.from({ length: actors }, async (_, id) => {
        const ref = system.get(account, String(id));
        for (let i = 0; i < each; i++) await ref.ask("deposit", { amount: 1 });
      }),
    ),
  );
  await system.stop();
  return rate;
}

export async function benchActors(base, roundCount) {
  const tell = await rounds(roundCount, { papyra: papyraTell, nact: nactTell });
  const ask = await rounds(roundCount, { papyra: papyraAsk, nact: nactAsk });
  const number = (value) => Math.round(value).toLocaleString("en-US");
  return [
    {
      what: "tell",
      papyra: `${number(tell.papyra.perSecond)}/s`,
      ratios: { "nact 7.6": tell.nact.ratio },
      budget: "4 of nact",
    },
    {
      what: "ask",
      papyra: `${number(ask.papyra.perSecond)}/s`,
      ratios: { "nact 7.6": ask.nact.ratio },
      budget: "1.5 of nact",
    },
    {
      what: "an idle actor",
      papyra: `${Math.round(await alone(import.meta.url, "idleActorBytes"))} bytes of heap`,
      ratios: {},
      budget: "1,024 bytes",
    },
    {
      what: "durable commands, 1,000 actors",
      papyra: `${number(await durableCommands(base))}/s`,
      ratios: {},
      budget: "",
    },
  ];
}
