// The command line with a bucket: main() against a real server, where it is installed.
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { gone, makeStore, papyra, scratch } from "../cli/helpers.ts";
import { hasMoto, S3Server } from "./s3-servers.ts";

/** Where the package looks for them itself. */
const KEYS = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret", AWS_REGION: "us-east-1" };

test.runIf(hasMoto)("create, verify, restore and drill in s3://bucket/prefix", async () => {
  const server = await S3Server.start("moto");
  const dir = scratch();
  for (const [name, value] of Object.entries(KEYS)) vi.stubEnv(name, value);
  try {
    const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
    const client = new S3Client({ endpoint: server.url, region: "us-east-1", forcePathStyle: true, credentials });
    await client.send(new CreateBucketCommand({ Bucket: "papyra-backups" }));
    client.destroy();
    await makeStore(join(dir, "store"), 5);
    const env = { AWS_ENDPOINT_URL: server.url };
    const repository = ["--repository", "s3://papyra-backups/orders"];
    for (const argv of [
      ["create", "--path", join(dir, "store")],
      ["verify"],
      ["restore", "--target", join(dir, "restored")],
      ["drill", "--scratch", join(dir, "scratch")],
      ["status", "--max-age", "1h", "--require-drill", "1h"],
    ]) {
      const ran = await papyra(["backup", ...argv, ...repository], { env });
      expect({ argv, exit: ran.exit, stderr: ran.stderr }).toEqual({ argv, exit: 0, stderr: "" });
    }
    expect(existsSync(join(dir, "restored", "papyra.json"))).toBe(true);
    const wrong = await papyra(["backup", "list", "--repository", "s3:papyra-backups"], { env });
    expect(wrong.exit).toBe(64);
    const missing = await papyra(
      ["backup", "create", "--path", join(dir, "store"), "--repository", "s3://no-such-bucket"],
      { env },
    );
    expect(missing.stderr).toContain("no-such-bucket");
    expect(missing.exit).toBe(74);
  } finally {
    vi.unstubAllEnvs();
    gone(dir);
    await server.stop();
  }
});
