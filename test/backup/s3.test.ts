// The contract of places for objects, on real servers of S3; how a server that ignores conditional writes is found out; what
// is said when something is wrong.
import { afterAll, beforeAll, describe, test } from "vitest";
import { s3Objects } from "../../src/s3/index.ts";
import { Gateway } from "./gateway.ts";
import { objectsContract, type Subject } from "./objects-contract.ts";
import { behind, CREDENTIALS, hasMoto, keysIn, makeBucket, S3Server } from "./s3-servers.ts";

const MIB = 1 << 20;

interface Setting {
  readonly program: "fauxqs" | "moto";
  /** Whether the gateway does what the server leaves out. */
  readonly gateway: boolean;
  readonly conditionalWrites: "required" | "none";
  readonly bytesMax: number;
}

const SETTINGS: Record<string, Setting> = {
  "fauxqs behind a gateway that heeds conditions": {
    program: "fauxqs",
    gateway: true,
    conditionalWrites: "required",
    bytesMax: 10 * MIB, // more it does not take
  },
  "fauxqs as it is, one process at a time": {
    program: "fauxqs",
    gateway: false,
    conditionalWrites: "none",
    bytesMax: 10 * MIB,
  },
  moto: { program: "moto", gateway: false, conditionalWrites: "required", bytesMax: 16 * MIB },
};

for (const [name, { program, gateway, conditionalWrites, bytesMax }] of Object.entries(SETTINGS)) {
  // moto looks and writes in two steps: of several who write at the same instant more than one may win.
  const cases = objectsContract.filter(
    ({ shared, races }) =>
      (shared !== true || conditionalWrites === "required") && (races !== true || program === "fauxqs"),
  );
  const installed = program === "fauxqs" || hasMoto;
  if (!installed) console.log(`moto is not installed: ${cases.length} tests on it are left out`);
  describe.runIf(installed)(name, () => {
    let server: S3Server;
    let front: Gateway;

    beforeAll(async () => {
      server = await S3Server.start(program);
      front = await Gateway.before(server.port, { conditions: gateway });
      front.pageKeys = 5;
    });
    afterAll(async () => {
      await front.close();
      await server.stop();
    });

    async function subject(): Promise<Subject> {
      const bucket = await makeBucket(server.url);
      const prefix = "orders/production";
      const open = () =>
        s3Objects({ bucket, prefix, endpoint: front.url, credentials: CREDENTIALS, conditionalWrites });
      return {
        open,
        bytesMax,
        names: program === "fauxqs" ? /^[a-z0-9./-]+$/ : /^/, // fauxqs sorts others as people do
        async breakHolds() {
          for (const key of (await keysIn(server.url, bucket)).filter((one) => one.includes("/holds/")))
            await behind(`${server.url}/${bucket}/${key}`, { method: "DELETE" });
        },
      };
    }

    for (const { name: title, run } of cases) {
      test(title, async () => run(await subject()));
    }
  });
}
