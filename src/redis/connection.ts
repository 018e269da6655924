// One connection to the server, and what becomes of a command whose answer does not come. The client neither connects again
// nor repeats anything by itself: a connection that failed, or was silent for too long, is thrown away, and what was asked is
// asked again over a new one. So everything that is asked here must be safe to ask twice (scripts.ts). On a cluster the node
// that holds the keys is found by asking: another one names it, and where a slot is on its way the answer is waited for.
import { createHash } from "node:crypto";
import type { Clock } from "../env/env.ts";
import { ensureError, PapyraError } from "../errors.ts";
import type { RedisTiming } from "./options.ts";

/** What the server answers: RESP2, text as bytes. */
export type Reply = Buffer | string | number | null | Reply[];

export type Argument = string | Buffer;

/** As much of a client of the package `redis` as is used. */
export interface RawClient {
  destroy(): void;
  ref(): void;
  unref(): void;
  send(args: readonly Argument[]): Promise<Reply>;
}

/** A node of a cluster. */
export interface NodeAddress {
  /** Undefined: the host of the node that named it. */
  readonly host: string | undefined;
  readonly port: number;
}

/** The server gave an answer, and it was an error. */
export class ServerError extends Error {
  readonly code: string;

  constructor(text: string) {
    super(text);
    this.code = /^[A-Z]+/.exec(text)?.[0] ?? "ERR";
  }
}

/** Answers that may be others in a moment: the server starts, is being replaced, or is full until somebody makes room. */
const PASSING: ReadonlySet<string> = new Set([
  "LOADING",
  "MASTERDOWN",
  "NOREPLICAS",
  "READONLY",
  "BUSY",
  "TRYAGAIN",
  "ASK",
  "MOVED",
  "CLUSTERDOWN",
  "MISCONF",
  "OOM",
  "UNBLOCKED",
]);
/** After these another server may answer under the same name, or another node of the cluster. */
const ELSEWHERE: ReadonlySet<string> = new Set(["READONLY", "MASTERDOWN", "CLUSTERDOWN", "MOVED"]);
const OF_CLUSTERS: ReadonlySet<string> = new Set(["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"]);
const PAUSE_MS = { first: 20, most: 1000 } as const;
/** A connection that nobody used for so long is closed. */
const IDLE_MS = 10_000;

export class Connection {
  readonly #make: (node: NodeAddress | undefined) => Promise<RawClient>;
  readonly #clock: Clock;
  readonly #timing: RedisTiming;
  /** For messages. */
  readonly #location: string;
  /** How often a command had to be asked again: an answer to the one before may have been lost. */
  repeats = 0;
  #client: Promise<RawClient> | undefined;
  /** The node of a cluster that holds the keys, as another one said. */
  #named: NodeAddress | undefined;
  #atNamed = false;
  #reached = false;
  #closed = false;
  #pending = 0;
  #cancelIdle: (() => void) | undefined;

  /** `make` connects to the address that the store was opened with, or to that node. */
  constructor(
    make: (node: NodeAddress | undefined) => Promise<RawClient>,
    clock: Clock,
    timing: RedisTiming,
    location: string,
  ) {
    this.#make = make;
    this.#clock = clock;
    this.#timing = timing;
    this.#location = location;
  }

  /** Runs a script, whether the server knows it already or not. */
  async script(text: string, keys: readonly string[], args: readonly Argument[]): Promise<Reply[]> {
    const rest = [String(keys.length), ...keys, ...args];
    const reply = await this.#persist(async () => {
      try {
        return await this.#once(["EVALSHA", shaOf(text), ...rest]);
      } catch (error) {
        if (!(error instanceof ServerError) || error.code !== "NOSCRIPT") throw error;
        return this.#once(["EVAL", text, ...rest]);
      }
    });
    return reply as Reply[];
  }

  /** Runs one command. */
  command(...args: readonly Argument[]): Promise<Reply> {
    return this.#persist(() => this.#once(args));
  }

  /** For good: whoever waits for an answer is told STORE_CLOSED. */
  close(): void {
    this.#closed = true;
    this.#drop();
  }

  /** Asks until there is an answer, or the time is over. */
  async #persist(ask: () => Promise<Reply>): Promise<Reply> {
    return this.#counted(async () => {
      const end = this.#clock.monotonicMs() + this.#timing.outcomeTimeoutMs;
      for (let pause: number = PAUSE_MS.first; ; pause = Math.min(2 * pause, PAUSE_MS.most)) {
        try {
          return await ask();
        } catch (thrown) {
          const error = ensureError(thrown);
          if (error instanceof PapyraError) throw error;
          if (this.#closed) throw this.#isClosed();
          if (error instanceof ServerError && !PASSING.has(error.code)) throw this.#refusal(error);
          // An address where nobody is will not get better by waiting; one that is slow may.
          const nobody = !this.#reached && !(error instanceof NoAnswer);
          if (nobody || this.#clock.monotonicMs() + pause > end) throw this.#givenUp(error);
          this.repeats += 1;
        }
        await new Promise<void>((resolve) => void this.#clock.after(pause, resolve, "foreground"));
      }
    });
  }

  /** Only while somebody waits for an answer does the connection keep the process alive, or itself. */
  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#pending += 1;
    this.#cancelIdle?.();
    try {
      return await work();
    } finally {
      this.#pending -= 1;
      if (this.#pending === 0) {
        await this.#client?.then(
          (client) => client.unref(),
          () => undefined,
        );
        this.#cancelIdle = this.#clock.after(IDLE_MS, () => this.#drop(), "background");
      }
    }
  }

  async #once(args: readonly Argument[]): Promise<Reply> {
    if (this.#closed) throw this.#isClosed();
    this.#client ??= this.#make(this.#atNamed ? this.#named : undefined);
    const current = this.#client;
    try {
      const client = await current;
      this.#reached = true;
      client.ref();
      return await inTime(client.send(args), args[0] as string, this.#clock, this.#timing);
    } catch (error) {
      const answered = error instanceof ServerError && !ELSEWHERE.has(error.code);
      if (!answered && this.#client === current) {
        this.#turn(error);
        this.#drop();
      }
      throw error;
    }
  }

  /** Where to ask next: the node that was just named; else the other of the two addresses, since this one may be gone. */
  #turn(error: unknown): void {
    const named = error instanceof ServerError ? movedTo(error.message) : undefined;
    if (named === undefined) {
      this.#atNamed = !this.#atNamed && this.#named !== undefined;
      return;
    }
    const here = this.#atNamed ? this.#named : undefined;
    this.#named = { ...named, host: named.host ?? here?.host };
    this.#atNamed = true;
  }

  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    void client?.then(
      (made) => made.destroy(),
      () => undefined,
    );
  }

  #isClosed(): PapyraError {
    return new PapyraError("STORE_CLOSED", `the connection to ${this.#location} was closed`);
  }

  #refusal(error: ServerError): PapyraError {
    const hints: Readonly<Record<string, string>> = {
      WRONGTYPE: "a key of that name belongs to another program: choose another prefix",
      CROSSSLOT:
        "nothing was written: on a cluster all keys of a store must be in one slot: set hashTag, or --path redis://HOST:PORT/{PREFIX:SYSTEM}",
      NOPERM: "give the user of the URL the commands that docs/backends.md lists",
      NOAUTH: "name a user and password in the URL",
      WRONGPASS: "check the user and password in the URL",
    };
    return new PapyraError("STORAGE_FAILED", `${this.#location} refused: ${error.message}`, {
      cause: error,
      hint: hints[error.code] ?? "look at the server's log",
    });
  }

  #givenUp(error: Error): PapyraError {
    if (!this.#reached)
      return new PapyraError("STORAGE_FAILED", `${this.#location} cannot be reached: ${error.message}`, {
        cause: error,
        hint: "check the URL, and that the server runs",
      });
    const full = error instanceof ServerError && error.code === "OOM";
    const tried = `${this.#location} did not come round within ${this.#timing.outcomeTimeoutMs} ms`;
    return new PapyraError(full ? "STORAGE_FULL" : "STORAGE_FAILED", `${tried}: ${error.message}`, {
      cause: error,
      hint: full ? "give the server more memory, or trim what it holds" : this.#whereToLook(error),
    });
  }

  #whereToLook(error: Error): string {
    const ofCluster = error instanceof ServerError && OF_CLUSTERS.has(error.code);
    if (!ofCluster && this.#named === undefined) return "look at the server, then start again";
    const node = this.#named;
    const holder =
      node === undefined ? "" : `; the keys were last said to be at ${node.host ?? "the same host"}:${node.port}`;
    return `look at the cluster (redis-cli --cluster check HOST:PORT), then start again${holder}`;
  }
}

/** `MOVED 3999 127.0.0.1:6381`. The host can be empty, or `?`: then it is that of the node that answers. */
function movedTo(message: string): NodeAddress | undefined {
  const [, host, port] = /^MOVED \d+ (.*):(\d+)$/.exec(message) ?? [];
  if (port === undefined) return undefined;
  return { host: host === "" || host === "?" ? undefined : host, port: Number(port) };
}

class NoAnswer extends Error {}

/** Rejects when nothing has come within the time of one command. */
export function inTime<T>(answer: Promise<T>, what: string, clock: Clock, timing: RedisTiming): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new NoAnswer(`no answer to ${what} within ${timing.commandTimeoutMs} ms`));
    const cancel = clock.after(timing.commandTimeoutMs, late, "foreground");
    answer.then(resolve, reject).finally(cancel);
  });
}

const SHAS = new Map<string, string>();

function shaOf(script: string): string {
  let sha = SHAS.get(script);
  if (sha === undefined) SHAS.set(script, (sha = createHash("sha1").update(script).digest("hex")));
  return sha;
}
