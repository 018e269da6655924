// Actors over a Redis server that goes away: who does not persist goes on, who must persist stops rather than pretend.
import { expect, test } from "vitest";
import { ActorSystem } from "../../src/actors/system.ts";
import { redisStore } from "../../src/redis/index.ts";
import { scan } from "../../src/ops/scan.ts";
import { ledgerWith } from "../actors/persistent-helpers.ts";
import { IMPATIENT } from "./history.ts";
import { ChaosProxy } from "./proxy.ts";
import { RedisServer } from "./server.ts";

test("the server goes away for good, and comes back for the next start", async () => {
  const server = await RedisServer.start();
  const proxy = await ChaosProxy.before(server.port);
  const ledger = ledgerWith();
  const system = new ActorSystem({ store: redisStore({ url: proxy.url, systemId: "s", ...IMPATIENT }) });
  await system.start();
  const plain = system.spawn("plain", () => ({ receive: (n: number) => n + 1 }));
  const account = system.get(ledger, "a");
  expect(await account.ask("put", { key: "k", value: 1 })).toBe(1);
  proxy.partition(true);
  await expect(account.ask("put", { key: "k", value: 2 })).rejects.toThrow();
  expect(await plain.ask(1)).toBe(2);
  await system.stop().catch(() => undefined); // the lease cannot be given back
  proxy.partition(false);
  const admin = await server.admin();
  await admin.del("papyra:s:writer"); // it ends
  admin.destroy();
  const store = redisStore({ url: server.url, systemId: "s" });
  const again = new ActorSystem({ store });
  await again.start();
  expect(await again.get(ledger, "a").ask("total")).toBe(1);
  await again.stop();
  expect((await scan(store)).ok).toBe(true);
  await proxy.close();
  await server.stop();
});
