// What a bucket says when something is wrong: servers that ignore conditions, wrong options, wrong credentials, what is not
// there, what is locked. And what it never says: a secret.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PapyraError } from "../../src/errors.ts";
import { s3Objects, type S3ObjectsOptions } from "../../src/s3/index.ts";
import { freePort } from "../redis/server.ts";
import { type Asked, Gateway, problem } from "./gateway.ts";
import { bytesOf, namesOf, refusal } from "./objects-contract.ts";
import { CREDENTIALS, hasMoto, keysIn, makeBucket, S3Server } from "./s3-servers.ts";

let server: S3Server;
let gateway: Gateway;
let bucket: string;

beforeAll(async () => {
  server = await S3Server.start("fauxqs");
  gateway = await Gateway.before(server.port);
  bucket = await makeBucket(server.url);
});
afterAll(async () => {
  await gateway.close();
  await server.stop();
});

beforeEach(() => {
  gateway.answer = undefined;
  gateway.listing = undefined;
  gateway.conditions = false;
  gateway.clear();
});

const open = (more: Partial<S3ObjectsOptions> = {}) =>
  s3Objects({ bucket, endpoint: gateway.url, credentials: CREDENTIALS, ...more });

describe("a server that ignores conditional writes", () => {
  test("is found out before anything relies on them, and refused", async () => {
    const store = open({ prefix: "ignored" });
    for (let n = 0; n < 2; n++) {
      const refused = await refusal(store.put("manifest", bytesOf("x"), { ifAbsent: true }), "STORAGE_FAILED");
      expect(refused.message).toContain("ignores conditional writes (If-None-Match: *)");
      expect(refused.hint).toContain('`conditionalWrites: "none"`');
    }
    await refusal(store.hold("shared", "backup"), "STORAGE_FAILED");
    await refusal(store.hold("exclusive", "prune"), "STORAGE_FAILED");
    // What asks for no condition goes on working, and nothing was left.
    expect(await store.put("catalog", bytesOf("x"))).toBe(true);
    expect((await keysIn(server.url, bucket)).filter((key) => key.startsWith("ignored/"))).toEqual(["ignored/catalog"]);
  });

  test("is refused as well when it says that it does not know them", async () => {
    gateway.answer = ({ headers }) =>
      headers["if-none-match"] === undefined ? undefined : problem(501, "NotImplemented");
    const refused = await refusal(open().put("manifest", bytesOf("x"), { ifAbsent: true }), "STORAGE_FAILED");
    expect(refused.message).toContain("ignores conditional writes");
  });

  test("is asked once, and not by who needs no conditions", async () => {
    gateway.conditions = true;
    const store = open({ prefix: "once" });
    gateway.seen.length = 0;
    await store.put("a", bytesOf("x"));
    await namesOf(store);
    const probes = (): number => gateway.seen.filter((one) => one.includes("/probe-")).length;
    expect(probes()).toBe(0);
    await Promise.all([1, 2, 3].map((n) => store.put(`b/${n}`, bytesOf("x"), { ifAbsent: true })));
    await (await store.hold("shared", "backup")).release();
    expect(probes()).toBe(3); // twice stored, once removed
    await refusal(open({ bucket: "nobody-has-this-one" }).hold("shared", "backup"), "STORAGE_FAILED");
  });
});

test.each<[string, unknown, string]>([
  ["bucket", {}, "option `bucket` must be a string"],
  ["bucket", { bucket: "a/b" }, "`bucket` is no name: a/b"],
  ["prefix", { bucket: "b-b", prefix: "/a" }, "`prefix` has parts"],
  ["prefix", { bucket: "b-b", prefix: "a/../b" }, "`prefix` has parts"],
  ["region", { bucket: "b-b", region: "" }, "option `region`"],
  ["buket", { bucket: "b-b", buket: "x" }, "knows no option `buket`"],
  ["client", { bucket: "b-b", client: {} }, "`client` is no S3Client"],
  ["region", { bucket: "b-b", client: { send: () => 1, config: {} }, region: "x" }, "with `client`, `region`"],
  ["endpoint", { bucket: "b-b", endpoint: "s3.example.org" }, "`endpoint` is no URL"],
  ["endpoint", { bucket: "b-b", endpoint: "ftp://s3.example.org" }, "begins with https:// or http://"],
  ["endpoint", { bucket: "b-b", endpoint: "https://key:hush-hush@s3.example.org" }, "holds no credentials"],
  ["credentials", { bucket: "b-b", credentials: { accessKeyId: "hush-hush" } }, "`credentials.secretAccessKey` must"],
  ["secret", { bucket: "b-b", credentials: { secret: "hush-hush" } }, "credentials knows no option `secret`"],
  ["leaseMs", { bucket: "b-b", leaseMs: 5000, deadlineMs: 6000 }, "`leaseMs` (5000) is not less than `deadlineMs`"],
  ["deadlineMs", { bucket: "b-b", deadlineMs: 1 }, "whole number from 100"],
  ["conditionalWrites", { bucket: "b-b", conditionalWrites: "maybe" }, "one of required, none"],
  ["forcePathStyle", { bucket: "b-b", forcePathStyle: 1 }, "is true or false"],
  ["objectLock.mode", { bucket: "b-b", objectLock: { mode: "strict", days: 1 } }, "one of governance, compliance"],
  ["objectLock.days", { bucket: "b-b", objectLock: { mode: "governance", days: 0 } }, "from 1 to 36500"],
])("wrong options are refused: %s %j", (option, options, text) => {
  let thrown: unknown;
  try {
    s3Objects(options as S3ObjectsOptions);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(PapyraError);
  expect(thrown).toMatchObject({ code: "OPTION_INVALID", details: { option } });
  expect((thrown as Error).message).toContain(text);
  expect(inspect(thrown)).not.toContain("hush-hush");
});

/** Every verb against a gateway that answers so; resolves with what they rejected with. */
async function everyVerb(answer: (asked: Asked) => ReturnType<typeof problem> | undefined): Promise<PapyraError[]> {
  gateway.answer = answer;
  try {
    const verbs = [
      () => open().put("a", bytesOf("x")),
      () => open().put("a", bytesOf("x"), { ifAbsent: true }),
      () => open().get("a"),
      () => open().stat("a"),
      () => namesOf(open()),
      () => open().remove("a"),
      () => open().hold("shared", "backup"),
    ];
    return (await Promise.all(verbs.map((verb) => refusal(verb(), "STORAGE_FAILED")))) as PapyraError[];
  } finally {
    gateway.answer = undefined;
  }
}

test.each<[string, number, RegExp]>([
  ["InvalidAccessKeyId", 403, /^the credentials are wrong/],
  ["SignatureDoesNotMatch", 403, /^the credentials are wrong/],
  ["ExpiredToken", 400, /^the credentials are wrong or have expired|^check/],
  ["AccessDenied", 403, /may not do this: they need GetObject, PutObject, DeleteObject and ListBucket/],
  ["NoSuchBucket", 404, /^create the bucket/],
  ["PermanentRedirect", 301, /^the bucket is in another region/],
  ["EntityTooLarge", 413, /^the server takes no objects of that size/],
  ["InvalidObjectState", 403, /archive/],
])("%s is said at once, with the next step", async (code, status, hint) => {
  for (const { message, hint: said = "", details } of await everyVerb(({ method }) =>
    // The answer to a HEAD has no body.
    method === "HEAD" ? { ...problem(status, code), body: Buffer.alloc(0) } : problem(status, code),
  )) {
    expect(message).toMatch(/^cannot (?:store|read|look|list|remove|hold) .*s3:\/\/papyra-/);
    expect(details.attempts).toBe(1);
    if (details.errno === code) expect(said).toMatch(hint);
    else expect(said.length).toBeGreaterThan(20);
  }
});

test("what is full is said as such", async () => {
  gateway.answer = () => problem(507, "InsufficientStorage");
  await refusal(open().put("a", bytesOf("x")), "STORAGE_FULL");
  gateway.answer = () => problem(403, "QuotaExceeded");
  const refused = await refusal(open().put("a", bytesOf("x")), "STORAGE_FULL");
  expect(refused.hint).toContain("raise the quota");
});

test("a bucket, a server or a web page that is not one is never an empty repository", async () => {
  for (const more of [
    { bucket: "nobody-has-this-one" },
    { endpoint: `http://127.0.0.1:${await freePort()}` },
    { endpoint: `${gateway.url}/somewhere/else` },
  ]) {
    const store = open({ deadlineMs: 1000, ...more });
    for (const call of [() => store.get("a"), () => store.stat("a"), () => namesOf(store)])
      expect((await refusal(call(), "STORAGE_FAILED")).hint).toMatch(/^(?:create the bucket|nobody is there|check)/);
  }
  const page = { ...problem(404, "-"), body: bytesOf("<html><body>Not here</body></html>") };
  gateway.answer = ({ method }) => (method === "HEAD" ? { ...page, body: Buffer.alloc(0) } : page);
  const store = open({ deadlineMs: 1000 });
  for (const call of [() => store.get("a"), () => store.stat("a"), () => namesOf(store)])
    await refusal(call(), "STORAGE_FAILED");
});

test("a listing out of order is refused", async () => {
  const store = open({ prefix: "order" });
  for (const name of ["a", "b", "c"]) await store.put(name, bytesOf("x"));
  gateway.listing = (xml) => xml.replace("order/b", "order/d");
  expect((await refusal(namesOf(store), "STORAGE_FAILED")).message).toContain("order/c came after order/d");
});

test("no secret is in an error, however it is printed", async () => {
  const secrets = { secretAccessKey: "hush-hush-hush", sessionToken: "a-token-to-hide" };
  const credentials = { accessKeyId: "shown", ...secrets };
  const told = problem(403, "SignatureDoesNotMatch");
  const loud = `we got ${secrets.secretAccessKey} and ${secrets.sessionToken}`;
  gateway.answer = () => ({ ...told, body: bytesOf(String(told.body).replace("said so", loud)) });
  const store = open({ credentials });
  const refused = await refusal(store.get("a"), "STORAGE_FAILED");
  gateway.answer = undefined;
  const everything = inspect([refused, store], { depth: 20, showHidden: true, getters: true });
  expect(everything).toContain("we got *** and ***");
  expect(everything + JSON.stringify([refused, refused.cause]) + String(refused.stack)).not.toMatch(/hush|to-hide/);
  expect(credentials).toEqual({ accessKeyId: "shown", ...secrets });
});

test("without credentials anywhere that is said at once", async () => {
  const home = mkdtempSync(join(tmpdir(), "papyra-home-"));
  const before = { ...process.env };
  Object.assign(process.env, { HOME: home, AWS_EC2_METADATA_DISABLED: "true" });
  for (const name of ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION"]) Reflect.deleteProperty(process.env, name);
  try {
    const refused = await refusal(s3Objects({ bucket, endpoint: gateway.url }).get("a"), "STORAGE_FAILED");
    expect(refused.hint).toBe("no credentials were found: set them, or `credentials`");
    const lost = await refusal(s3Objects({ bucket, credentials: CREDENTIALS }).get("a"), "STORAGE_FAILED");
    expect(lost.hint).toBe("name a `region`");
  } finally {
    Object.assign(process.env, before);
    rmSync(home, { recursive: true });
  }
});

test("a client of the user's own is used, with its settings", async () => {
  gateway.conditions = true;
  const client = new S3Client({
    endpoint: gateway.url,
    region: "eu-north-1",
    credentials: CREDENTIALS,
    forcePathStyle: true,
  });
  const store = s3Objects({ bucket, prefix: "lent", client });
  expect(await store.put("a", bytesOf("x"), { ifAbsent: true })).toBe(true);
  // It tries again by itself: what it is then told is not what happened.
  gateway.plan("failed", { method: "PUT", holding: "lent/b" });
  expect(await store.put("b", bytesOf("x"), { ifAbsent: true })).toBe(true);
  expect(String(await store.get("b"))).toBe("x");
  expect(await namesOf(store)).toEqual(["a", "b"]);
  client.destroy();
});

test("object lock is asked for with every object, and not with what the repository keeps for itself", async () => {
  gateway.conditions = true;
  const locked: string[] = [];
  gateway.answer = ({ method, url, headers }) => {
    if (method === "PUT" && headers["x-amz-object-lock-mode"] === "COMPLIANCE")
      locked.push(url.split("?")[0] as string);
    const until = Date.parse(String(headers["x-amz-object-lock-retain-until-date"]));
    if (locked.length > 0 && Number.isFinite(until))
      expect(Math.abs(until - Date.now() - 30 * 86_400_000)).toBeLessThan(60_000);
    return undefined;
  };
  const store = open({ prefix: "kept", objectLock: { mode: "compliance", days: 30 } });
  await store.put("a", bytesOf("x"));
  await store.put("b", bytesOf("x"), { ifAbsent: true });
  await (await store.hold("shared", "backup")).release();
  expect(locked).toEqual([`/${bucket}/kept/a`, `/${bucket}/kept/b`]);
});

test("what is locked and cannot be removed is said, with the time until when", async () => {
  const store = open({ prefix: "locked" });
  await store.put("a", bytesOf("x"));
  gateway.answer = ({ method }) => {
    if (method === "DELETE") return problem(403, "AccessDenied");
    const until = { "x-amz-object-lock-retain-until-date": "2027-01-01T00:00:00.000Z" };
    return method === "HEAD" ? { status: 200, headers: until, body: Buffer.alloc(0) } : undefined;
  };
  const refused = await refusal(store.remove("a"), "STORAGE_FAILED");
  expect(refused.message).toMatch(
    /^cannot remove a in s3:.*AccessDenied.* \(it is locked until 2027-01-01T00:00:00.000Z\)$/,
  );
  expect(refused.hint).toContain("nothing was removed");
  gateway.answer = undefined;
  expect(String(await store.get("a"))).toBe("x");
});

test.runIf(hasMoto)("object lock of a server that knows it: what is removed stays underneath", async () => {
  const moto = await S3Server.start("moto");
  try {
    const kept = await makeBucket(moto.url, { "x-amz-bucket-object-lock-enabled": "true" });
    const options = { bucket: kept, endpoint: moto.url, credentials: CREDENTIALS };
    const store = s3Objects({ ...options, objectLock: { mode: "governance", days: 2 } });
    expect(await store.put("a", bytesOf("first"), { ifAbsent: true })).toBe(true);
    expect(await store.put("a", bytesOf("second"))).toBe(true);
    expect(String(await store.get("a"))).toBe("second");
    await store.remove("a");
    expect(await store.get("a")).toBeUndefined();
    await (await store.hold("exclusive", "prune")).release();
  } finally {
    await moto.stop();
  }
});
