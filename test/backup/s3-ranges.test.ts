// A packed repository in a bucket is verified by names from the headers of its objects: a few bytes of each, in one request.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { packed } from "../../src/backup/index.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { s3Objects } from "../../src/s3/index.ts";
import { Gateway } from "./gateway.ts";
import { CREDENTIALS, makeBucket, S3Server } from "./s3-servers.ts";
import { world, write } from "./world.ts";

let server: S3Server;
let gateway: Gateway;

beforeAll(async () => {
  server = await S3Server.start("fauxqs");
  gateway = await Gateway.before(server.port, { conditions: true });
});
afterAll(async () => {
  await gateway.close();
  await server.stop();
});

const place = async () => {
  const bucket = await makeBucket(server.url);
  return s3Objects({ bucket, endpoint: gateway.url, credentials: CREDENTIALS });
};

test("verifying by names reads the beginning of each part and no more, and still sees a size that is another", async () => {
  const bucket = await place();
  const objects = packed(bucket, { compression: "brotli" });
  const { store } = world();
  await write(store, 60);
  await createBackup(store, objects);
  const ranges: unknown[] = [];
  gateway.answer = ({ method, url, headers }) => {
    if (method === "GET" && url.includes("/segments/")) ranges.push(headers.range);
    return undefined;
  };
  expect(await verifyBackups(objects, { level: "names" })).toMatchObject({ ok: true, parts: 5 });
  gateway.answer = undefined;
  expect(ranges).toEqual(Array.from({ length: 5 }, () => "bytes=0-39"));

  for await (const { name } of bucket.list("segments/events/")) {
    const stored = (await bucket.get(name)) as Buffer;
    await bucket.put(name, stored.subarray(0, -1));
  }
  expect(await verifyBackups(objects, { level: "names" })).toMatchObject({ ok: false });
});

test("a size is of the object that begins so, whoever replaces it; a server that does not know ranges is no harm", async () => {
  const bucket = await place();
  await bucket.put("a/one", Buffer.alloc(1000, "1"));
  gateway.plan("cut-reply", { method: "GET", holding: "/a/one" });
  const start = bucket.start?.("a/one", 8);
  const found = await start;
  expect([String(found?.bytes), found?.info.bytes]).toEqual(["11111111", 1000]);
  const asked = gateway.seen.filter((one) => one.includes("/a/one")).map((one) => one.split(" ")[0]);
  expect(asked).toEqual(["PUT", "GET", "GET"]); // the first one was cut; no HEAD that might be of another object

  gateway.answer = ({ method }) =>
    method === "GET"
      ? { status: 200, headers: { "content-length": "12" }, body: Buffer.from("abcdefghijkl") }
      : undefined;
  const whole = await bucket.start?.("a/one", 8);
  gateway.answer = undefined;
  expect([String(whole?.bytes), whole?.info.bytes]).toEqual(["abcdefgh", 12]);
});
