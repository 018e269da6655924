// The verbs of a bucket under a prefix, each of which tells the truth whatever the network does:
// - Everything is asked until there is an answer, or the deadline of the call is over.
// - Whether a conditional put won is told by a token that is stored with the object: when the answer to one that won was lost,
//   the next attempt is refused, and the token says by whom.
// - What arrives is compared with its length and its SHA-256.
import { createHash } from "node:crypto";
import { OBJECT_BYTES_MAX, type ObjectInfo, type ObjectStart } from "../backup/objects.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { Asking, type Call } from "./asking.ts";
import { type Bucket, type Head, openBucket, type Start } from "./client.ts";
import {
  isForbidden,
  isNoSuchKey,
  isNoSuchRange,
  isNotFound,
  isRefusedCondition,
  isUnknownCondition,
  s3Failure,
} from "./failures.ts";
import type { ResolvedS3Options, S3ObjectLock } from "./options.ts";

/** What a repository keeps in the bucket for itself lies below this. */
export const OWN = "holds/";
/** A secret that is shorter may be part of any word. */
const SECRET_LENGTH_MIN = 8;
const DAY_MS = 86_400_000;

export interface PutOptions {
  readonly ifAbsent?: boolean;
  readonly lock?: S3ObjectLock | undefined;
}

/** What became of a put: stored; something is there already; the server does not know conditions. */
type Outcome = "stored" | "there" | "unknown";

export class Place {
  readonly env: Env;
  readonly location: string;
  readonly #options: ResolvedS3Options;
  readonly #asking: Asking;
  #bucket: Promise<Bucket> | undefined;
  /** Whether the server heeds conditions; found out by experiment, once. */
  #heeds: Promise<boolean> | undefined;
  #bucketSeen = false;

  constructor(env: Env, options: ResolvedS3Options) {
    this.env = env;
    this.location = options.location;
    this.#options = options;
    const { secretAccessKey = "", sessionToken = "" } = options.credentials ?? {};
    const secrets = [secretAccessKey, sessionToken].filter((secret) => secret.length >= SECRET_LENGTH_MIN);
    this.#asking = new Asking(env, { timing: options.timing, location: options.location, secrets });
  }

  /** Begins a call: all that is asked in it has one deadline. */
  begin(what: string): Call {
    return this.#asking.begin(what);
  }

  /** Resolves with false when `ifAbsent` is asked for and an object is there that this very call did not store. */
  async put(
    call: Call,
    name: string,
    bytes: Uint8Array,
    { ifAbsent = false, lock }: PutOptions = {},
  ): Promise<boolean> {
    const token = this.env.random.hex(16);
    const store = (condition: boolean): Promise<Outcome> => this.#store(call, { name, bytes, token, condition, lock });
    if (!ifAbsent) return (await store(false)) === "stored";
    if (this.#options.conditionalWrites === "none") {
      if ((await this.head(call, name)) !== undefined) return false;
      await store(false);
      return (await this.head(call, name))?.token === token;
    }
    await this.#requireConditions(call);
    for (;;) {
      if ((await store(true)) === "stored") return true;
      const there = await this.head(call, name);
      if (there !== undefined) return there.token === token;
      const again = await call.pause(100); // it was there, and was removed meanwhile
      if (!again) throw new PapyraError("STORAGE_FAILED", `${name} in ${this.location} comes and goes`);
    }
  }

  async get(call: Call, name: string): Promise<Buffer | undefined> {
    const bucket = await this.open();
    let before: string | undefined;
    return call.ask<Buffer | undefined>(
      async (signal) => {
        const { body, sha256 } = await bucket.get(this.#key(name), signal);
        const digest = createHash("sha256").update(body).digest("hex");
        // What arrives the same twice is what is stored, damaged or not: that is for the reader to judge.
        if (sha256 === undefined || digest === sha256 || digest === before) return body;
        before = digest;
        throw new Error(`what arrived has the SHA-256 ${digest}, what was stored has ${sha256}`);
      },
      (failure) => (isNoSuchKey(failure) ? { answer: undefined } : undefined),
    );
  }

  /** The first bytes of an object in one request: its size and its time are of the object that they are of. */
  async start(call: Call, name: string, bytesMax: number): Promise<ObjectStart | undefined> {
    const bucket = await this.open();
    const start = await call.ask<Start | "empty" | undefined>(
      (signal) => bucket.start(this.#key(name), bytesMax, signal),
      (failure) =>
        isNoSuchKey(failure) ? { answer: undefined } : isNoSuchRange(failure) ? { answer: "empty" } : undefined,
    );
    if (start === undefined) return undefined;
    if (start !== "empty") {
      const { body, bytes, storedMs } = start;
      return { info: { name, bytes, storedMs }, bytes: body };
    }
    const head = await this.head(call, name);
    if (head === undefined) return undefined;
    return { info: { name, bytes: head.bytes, storedMs: head.storedMs }, bytes: Buffer.alloc(0) };
  }

  async head(call: Call, name: string): Promise<Head | undefined> {
    const bucket = await this.open();
    const head = await call.ask<Head | undefined>(
      (signal) => bucket.head(this.#key(name), signal),
      (failure) => (isNotFound(failure) ? { answer: undefined } : undefined),
    );
    if (head === undefined) await this.#requireBucket(call, bucket);
    this.#bucketSeen = true;
    return head;
  }

  /** In the order of their names. `begin` makes the call of each page. */
  async *list(begin: () => Call, prefix: string): AsyncGenerator<ObjectInfo> {
    const bucket = await this.open();
    const { keyPrefix } = this.#options;
    let last = "";
    let token: string | undefined;
    do {
      const page = await begin().ask((signal) => bucket.page(this.#key(prefix), token, signal));
      for (const { key, bytes, storedMs } of page.keys) {
        if (key <= last && last !== "") throw this.#unordered(last, key);
        last = key;
        yield { name: key.slice(keyPrefix.length), bytes, storedMs };
      }
      token = page.next;
    } while (token !== undefined);
  }

  async remove(call: Call, name: string): Promise<void> {
    const bucket = await this.open();
    const refusal = await call.ask(
      async (signal) => {
        await bucket.remove(this.#key(name), signal);
        return undefined;
      },
      (failure) =>
        isNoSuchKey(failure) ? { answer: undefined } : isForbidden(failure) ? { answer: failure } : undefined,
    );
    if (refusal === undefined) return;
    const locked = await this.head(call, name).catch(() => undefined);
    const failed = s3Failure(refusal, `remove ${name} in ${this.location}`, 1);
    if (locked?.lockedUntil === undefined) throw failed;
    const until = locked.lockedUntil.toISOString();
    throw new PapyraError("STORAGE_FAILED", `${failed.message} (it is locked until ${until})`, {
      cause: failed.cause,
      hint: "its retention (object lock) has to end first; nothing was removed",
      details: { ...failed.details, lockedUntil: until },
    });
  }

  #key(name: string): string {
    return this.#options.keyPrefix + name;
  }

  /** Loads the package, which may take longer than a request. */
  open(): Promise<Bucket> {
    this.#bucket ??= openBucket(this.#options, 2 * OBJECT_BYTES_MAX);
    return this.#bucket;
  }

  async #store(
    call: Call,
    object: { name: string; bytes: Uint8Array; token: string; condition: boolean; lock: S3ObjectLock | undefined },
  ): Promise<Outcome> {
    const bucket = await this.open();
    const { name, bytes, token, condition } = object;
    const until = new Date(this.env.clock.nowMs() + (object.lock?.days ?? 0) * DAY_MS);
    const lock = object.lock === undefined ? undefined : { ...object.lock, until };
    return call.ask<Outcome>(
      async (signal) => {
        await bucket.put(this.#key(name), bytes, { token, ifAbsent: condition, lock }, signal);
        return "stored";
      },
      (failure) => {
        if (!condition) return undefined;
        if (isRefusedCondition(failure)) return { answer: "there" };
        return isUnknownCondition(failure) ? { answer: "unknown" } : undefined;
      },
    );
  }

  /** A server that ignores conditions lets every one of several writers win: it must not be believed. */
  async #requireConditions(call: Call): Promise<void> {
    this.#heeds ??= this.#probe(call).catch((error: unknown) => {
      this.#heeds = undefined; // nothing was found out: the next one asks again
      throw error;
    });
    if (await this.#heeds) return;
    throw new PapyraError(
      "STORAGE_FAILED",
      `${this.location} ignores conditional writes (If-None-Match: *): two processes could both be told that they were first`,
      {
        hint: 'use a server that heeds them, or set `conditionalWrites: "none"` and see to it that no more than one process works on the repository at a time',
        details: { conditionalWrites: "ignored" },
      },
    );
  }

  /** Stores an object twice, each time on condition that none is there: the second time must be refused. */
  async #probe(call: Call): Promise<boolean> {
    const name = `${OWN}probe-${this.env.random.hex(8)}.json`;
    const store = (token: string): Promise<Outcome> =>
      this.#store(call, { name, bytes: Buffer.from("{}\n"), token, condition: true, lock: undefined });
    const outcomes = [await store("first"), await store("second")];
    await this.remove(call, name);
    return outcomes[1] === "there";
  }

  /** No 404 to a HEAD says whether it is the bucket that is not there. */
  async #requireBucket(call: Call, bucket: Bucket): Promise<void> {
    if (this.#bucketSeen) return;
    await call.ask<void>(
      (signal) => bucket.exists(signal),
      (failure) => {
        if (isForbidden(failure)) return { answer: undefined }; // it is there, and may not be asked about
        if (!isNotFound(failure)) return undefined;
        const none = { ...failure, name: "NoSuchBucket", text: `there is no bucket ${this.#options.bucket}` };
        throw s3Failure(none, `look into ${this.location}`, 1);
      },
    );
  }

  #unordered(last: string, key: string): PapyraError {
    return new PapyraError("STORAGE_FAILED", `${this.location} does not list in order: ${key} came after ${last}`, {
      hint: "use a general purpose bucket: directory buckets list in no order",
    });
  }
}
