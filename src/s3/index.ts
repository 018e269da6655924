// The public surface of "papyra/s3". Nothing else of Papyra imports it but the command line, when it is asked to.
import type { ObjectStore } from "../backup/objects.ts";
import type { Env } from "../env/env.ts";
import { nodeEnv } from "../env/node.ts";
import { S3Objects } from "./objects.ts";
import type { S3ObjectsOptions } from "./options.ts";

export type { S3ClientLike, S3Credentials, S3ObjectLock, S3ObjectsOptions, S3Timing } from "./options.ts";

/**
 * A place for backups in a bucket of S3 or of a server that speaks its language. Makes its first request when it is first used;
 * needs the package `@aws-sdk/client-s3`. Throws OPTION_INVALID. What the server must promise: docs/backups-s3.md.
 *
 * @example
 * ```ts
 * import { s3Objects } from "papyra/s3";
 * const objects = s3Objects({ bucket: "backups", prefix: "orders", endpoint: "https://s3.example.org" });
 * if (objects.location !== "s3://backups/orders at s3.example.org") throw new Error(objects.location);
 * ```
 */
export function s3Objects(options: S3ObjectsOptions, env: Env = nodeEnv): ObjectStore {
  return new S3Objects(env, options);
}
