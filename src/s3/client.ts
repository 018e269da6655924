// The only file that knows the package `@aws-sdk/client-s3`. It is loaded when the first request is made: it is an optional
// peer. What it throws is judged in failures.ts.
import { createHash } from "node:crypto";
import { PapyraError } from "../errors.ts";
import type { ResolvedS3Options, S3ClientLike, S3ObjectLock } from "./options.ts";

type Package = typeof import("@aws-sdk/client-s3");
type Client = InstanceType<Package["S3Client"]>;

/** What is noted of an object when it is stored. */
export interface Note {
  /** Differs between any two puts: tells one's own object from another's of the same bytes. */
  readonly token: string | undefined;
  /** Of all its bytes, in hex. */
  readonly sha256: string | undefined;
}

export interface Head extends Note {
  readonly bytes: number;
  /** By the clock of the server, to the second. */
  readonly storedMs: number;
  /** Until when it cannot be removed. */
  readonly lockedUntil: Date | undefined;
}

export interface Start {
  readonly body: Buffer;
  /** Of the whole object. */
  readonly bytes: number;
  readonly storedMs: number;
}

export interface Page {
  readonly keys: readonly { readonly key: string; readonly bytes: number; readonly storedMs: number }[];
  /** What to ask for the next one with. */
  readonly next: string | undefined;
}

export interface PutHow {
  readonly token: string;
  readonly ifAbsent: boolean;
  readonly lock: (S3ObjectLock & { readonly until: Date }) | undefined;
}

/** The requests that are made of S3. */
export interface Bucket {
  put(key: string, bytes: Uint8Array, how: PutHow, signal: AbortSignal): Promise<void>;
  get(key: string, signal: AbortSignal): Promise<{ readonly body: Buffer; readonly sha256: string | undefined }>;
  /** The first bytes, at most so many, of an object that has some; all is of one answer, and so of one object. */
  start(key: string, bytesMax: number, signal: AbortSignal): Promise<Start>;
  head(key: string, signal: AbortSignal): Promise<Head>;
  /** At most so many keys that begin with `prefix`. */
  page(prefix: string, token: string | undefined, signal: AbortSignal): Promise<Page>;
  remove(key: string, signal: AbortSignal): Promise<void>;
  /** Rejects when there is no such bucket. */
  exists(signal: AbortSignal): Promise<void>;
}

const TOKEN = "papyra-put";
const SHA256 = "papyra-sha256";

export async function openBucket(options: ResolvedS3Options, bodyBytesMax: number): Promise<Bucket> {
  const library = await load();
  const client = options.client === undefined ? ownClient(library, options) : lent(options.client);
  const Bucket = options.bucket;
  return {
    async put(Key, Body, { token, ifAbsent, lock }, abortSignal) {
      const digest = createHash("sha256").update(Body).digest();
      const command = new library.PutObjectCommand({
        Bucket,
        Key,
        Body,
        ContentLength: Body.length,
        ChecksumAlgorithm: "SHA256",
        ChecksumSHA256: digest.toString("base64"),
        Metadata: { [TOKEN]: token, [SHA256]: digest.toString("hex") },
        ...(ifAbsent ? { IfNoneMatch: "*" } : {}),
        ...(lock === undefined
          ? {}
          : { ObjectLockMode: upper(lock.mode), ObjectLockRetainUntilDate: new Date(lock.until) }),
      });
      await client.send(command, { abortSignal });
    },
    async get(Key, abortSignal) {
      const reply = await client.send(new library.GetObjectCommand({ Bucket, Key }), { abortSignal });
      const body = await collect(reply.Body, { bytes: reply.ContentLength, bytesMax: bodyBytesMax, abortSignal });
      return { body, sha256: reply.Metadata?.[SHA256] };
    },
    async start(Key, bytesMax, abortSignal) {
      const command = new library.GetObjectCommand({ Bucket, Key, Range: `bytes=0-${bytesMax - 1}` });
      const { Body, ContentLength, ContentRange, LastModified } = await client.send(command, { abortSignal });
      const body = await collect(Body, { bytes: ContentLength, bytesMax: bodyBytesMax, abortSignal });
      // A server that does not know ranges sends all of it, and says nothing of a range.
      const bytes = Number(/\/(\d+)$/.exec(ContentRange ?? "")?.[1] ?? body.length);
      return { body: body.subarray(0, bytesMax), bytes, storedMs: LastModified?.getTime() ?? 0 };
    },
    async head(Key, abortSignal) {
      const reply = await client.send(new library.HeadObjectCommand({ Bucket, Key }), { abortSignal });
      const { ContentLength, LastModified, Metadata, ObjectLockRetainUntilDate } = reply;
      return {
        bytes: ContentLength ?? 0,
        storedMs: LastModified?.getTime() ?? 0,
        token: Metadata?.[TOKEN],
        sha256: Metadata?.[SHA256],
        lockedUntil: ObjectLockRetainUntilDate,
      };
    },
    async page(Prefix, token, abortSignal) {
      const more = token === undefined ? {} : { ContinuationToken: token };
      const command = new library.ListObjectsV2Command({ Bucket, Prefix, ...more });
      const { Contents = [], NextContinuationToken, IsTruncated } = await client.send(command, { abortSignal });
      return {
        keys: Contents.map(({ Key = "", Size = 0, LastModified }) => ({
          key: Key,
          bytes: Size,
          storedMs: LastModified?.getTime() ?? 0,
        })),
        next: IsTruncated === true ? NextContinuationToken : undefined,
      };
    },
    async remove(Key, abortSignal) {
      await client.send(new library.DeleteObjectCommand({ Bucket, Key }), { abortSignal });
    },
    async exists(abortSignal) {
      await client.send(new library.HeadBucketCommand({ Bucket }), { abortSignal });
    },
  };
}

/** A client that tries once: only who asks knows how long to go on (asking.ts). Checksums are our own. */
function ownClient(library: Package, { region, endpoint, credentials, forcePathStyle }: ResolvedS3Options): Client {
  return new library.S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    forcePathStyle,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
}

function lent(client: S3ClientLike): Client {
  return client as unknown as Client;
}

function upper(mode: S3ObjectLock["mode"]): "GOVERNANCE" | "COMPLIANCE" {
  return mode === "governance" ? "GOVERNANCE" : "COMPLIANCE";
}

interface Expected {
  readonly bytes: number | undefined;
  readonly bytesMax: number;
  readonly abortSignal: AbortSignal;
}

/** Everything that arrives of a body. One that ends too early, or not in time, is no object. */
async function collect(body: unknown, { bytes, bytesMax, abortSignal }: Expected): Promise<Buffer> {
  const stream = body as AsyncIterable<Uint8Array> & { destroy(error?: Error): void };
  const stop = (): void => stream.destroy(new Error("given up"));
  abortSignal.addEventListener("abort", stop, { once: true });
  try {
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of stream) {
      parts.push(part);
      length += part.length;
      if (length > bytesMax) throw new PapyraError("STORAGE_FAILED", `an object has more than ${bytesMax} bytes`);
    }
    if (bytes !== undefined && bytes !== length) throw new Error(`${length} of ${bytes} bytes arrived`);
    return Buffer.concat(parts);
  } finally {
    abortSignal.removeEventListener("abort", stop);
    stream.destroy();
  }
}

async function load(): Promise<Package> {
  try {
    return await import("@aws-sdk/client-s3");
  } catch (cause) {
    throw new PapyraError("CLIENT_MISSING", "the package @aws-sdk/client-s3 is not installed", {
      cause,
      hint: "run: npm install @aws-sdk/client-s3@3",
    });
  }
}
