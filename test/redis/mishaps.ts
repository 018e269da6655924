// What befalls a server or the network before it for a while, and how it ends. Shared by the tests of systems and of consumers.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ChaosProxy, Fault } from "./proxy.ts";
import type { Admin, RedisServer } from "./server.ts";

export interface MishapWorld {
  readonly server: RedisServer;
  readonly admin: Admin;
  readonly proxy: ChaosProxy;
}

export interface Mishap {
  readonly name: string;
  /** What the server answers while it lasts, where it answers. */
  readonly says?: string;
  befall(world: MishapWorld): Promise<unknown>;
  mend(world: MishapWorld): Promise<unknown>;
}

const nothing = async (): Promise<void> => undefined;

/** For a mishap without an answer: long enough for an attempt to be given up. */
const HELD_MS = 220;

const RDB = "dump.rdb";
/** So slowly, and looking at its clients so often, that it is seen while it loads. */
const SLOW = ["--key-load-delay", "10", "--loading-process-events-interval-bytes", "1024"];
const FILLED = "for i = 1, 12000 do redis.call('SET', 'filler:' .. i, i) end return 1";

const setting = (name: string, bad: string, good: string) => ({
  befall: ({ admin }: MishapWorld) => admin.configSet(name, bad),
  mend: ({ admin }: MishapWorld) => admin.configSet(name, good),
});

/** Of the server. */
export const SERVER_MISHAPS: readonly Mishap[] = [
  {
    name: "a snapshot that cannot be written (MISCONF)",
    says: "MISCONF",
    // Where the snapshot shall be is a directory: saving really fails, and writes are refused from then on.
    async befall({ server, admin }) {
      await rm(join(server.directory, RDB), { force: true });
      await mkdir(join(server.directory, RDB));
      await admin.configSet("save", "3600 1000000");
      await admin.sendCommand(["BGSAVE"]);
      while (!(await admin.info("persistence")).includes("rdb_last_bgsave_status:err")) await delay(10);
    },
    async mend({ server, admin }) {
      await rm(join(server.directory, RDB), { recursive: true });
      await admin.sendCommand(["BGSAVE"]);
      while (!(await admin.info("persistence")).includes("rdb_last_bgsave_status:ok")) await delay(10);
      await admin.configSet("save", "");
    },
  },
  { name: "no memory (OOM, noeviction)", says: "OOM", ...setting("maxmemory", "1", "0") },
  { name: "too few replicas (NOREPLICAS)", says: "NOREPLICAS", ...setting("min-replicas-to-write", "1", "0") },
  {
    name: "a server that became a replica (READONLY)",
    says: "READONLY",
    befall: ({ admin }) => admin.sendCommand(["REPLICAOF", "127.0.0.1", "1"]),
    mend: ({ admin }) => admin.sendCommand(["REPLICAOF", "NO", "ONE"]),
  },
  {
    name: "a replica without its master (MASTERDOWN)",
    says: "MASTERDOWN",
    async befall({ admin }) {
      await admin.configSet("replica-serve-stale-data", "no");
      await admin.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
    },
    async mend({ admin }) {
      await admin.sendCommand(["REPLICAOF", "NO", "ONE"]);
      await admin.configSet("replica-serve-stale-data", "yes");
    },
  },
  {
    name: "a script that does not end (BUSY)",
    says: "BUSY",
    async befall({ server, admin }) {
      await admin.configSet("busy-reply-threshold", "50");
      const endless = await server.admin();
      void endless
        .eval("while true do end")
        .catch(() => undefined)
        .finally(() => endless.destroy());
    },
    async mend({ server, admin }) {
      await admin.sendCommand(["SCRIPT", "KILL"]);
      while (!(await server.ask("PING")).startsWith("+PONG")) await delay(5);
    },
  },
  {
    name: "writes are paused (CLIENT PAUSE WRITE)",
    befall: ({ admin }) => admin.sendCommand(["CLIENT", "PAUSE", "60000", "WRITE"]),
    mend: ({ admin }) => admin.sendCommand(["CLIENT", "UNPAUSE"]),
  },
  {
    name: "everything is paused (CLIENT PAUSE)",
    befall: ({ admin }) => admin.sendCommand(["CLIENT", "PAUSE", "400", "ALL"]),
    mend: ({ admin }) => admin.ping(),
  },
  {
    name: "a stopped server (SIGSTOP)",
    befall: async ({ server }) => server.signal("SIGSTOP"),
    mend: async ({ server }) => server.signal("SIGCONT"),
  },
  { name: "kill -9 and a restart", befall: ({ server }) => server.kill(), mend: ({ server }) => server.run() },
  {
    name: "a restart that loads for long (LOADING)",
    says: "LOADING",
    async befall({ server, admin }) {
      await admin.eval(FILLED);
      await server.kill();
      loaded = server.run(...SLOW);
      while (!(await server.ask("PING")).startsWith("-LOADING")) await delay(5);
    },
    mend: () => loaded,
  },
  { name: "scripts are flushed", befall: ({ admin }) => admin.sendCommand(["SCRIPT", "FLUSH"]), mend: nothing },
  {
    name: "all connections are killed",
    befall: ({ admin }) => admin.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]),
    mend: nothing,
  },
];

let loaded: Promise<void> = Promise.resolve();

/** Of the network: what it does to the request that holds a text. */
export const networkMishaps = (holding: string): readonly Mishap[] => [
  {
    name: "refused",
    befall: async ({ proxy }) => proxy.partition(true),
    mend: async ({ proxy }) => proxy.partition(false),
  },
  {
    name: "latency",
    befall: async ({ proxy }) => void (proxy.latencyMs = 60),
    mend: async ({ proxy }) => void (proxy.latencyMs = 0),
  },
  ...(["cut-reply", "stall"] satisfies Fault[]).map((fault) => ({
    name: fault,
    async befall({ proxy }: MishapWorld) {
      met = proxy.done + 1;
      proxy.plan(fault, holding);
    },
    async mend({ proxy }: MishapWorld) {
      while (proxy.done < met) await delay(5);
    },
  })),
];

let met = 0;

/** Until it was met: until the server has refused somebody for it, or for a while. */
export async function whileItLasts({ says }: Mishap, { server, admin }: MishapWorld): Promise<void> {
  if (says === undefined || says === "BUSY") return delay(HELD_MS); // a busy one does not say how often
  const refused = async (): Promise<boolean> =>
    says === "LOADING"
      ? /cmdstat_(?:evalsha|xreadgroup|xack):[^\r]*rejected_calls=[1-9]/.test(await server.ask("INFO commandstats"))
      : (await admin.info("errorstats")).includes(`errorstat_${says}:`);
  while (!(await refused())) await delay(10);
}
