// A bucket that the command line names: s3://bucket/prefix. Region and credentials come from where AWS's own tools look for them.
import type { ObjectStore } from "../backup/objects.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";

export function isBucket(address: string): boolean {
  return address.startsWith("s3:");
}

/** `endpoint` (AWS_ENDPOINT_URL): the server, where it is not AWS. The package that speaks to it is loaded only here. */
export async function openBucket(env: Env, address: string, endpoint: string | undefined): Promise<ObjectStore> {
  const [, bucket, prefix = ""] = /^s3:\/\/([^/?#]+)\/?([^?#]*)$/.exec(address) ?? [];
  if (bucket === undefined) {
    throw new PapyraError("OPTION_INVALID", `${JSON.stringify(address)} is no address of a bucket`, {
      hint: "give s3://bucket/prefix; another server than AWS is named by AWS_ENDPOINT_URL",
    });
  }
  const { S3Objects } = await import("../s3/objects.ts");
  const named = prefix.replace(/\/$/, "");
  return new S3Objects(env, {
    bucket,
    ...(named === "" ? {} : { prefix: named }),
    ...(endpoint === undefined ? {} : { endpoint }),
  });
}
