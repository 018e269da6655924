// A gateway in front of a server of S3. It does to requests what networks and busy servers do, when told to; and it can do
// what the server behind it leaves out: heed `If-None-Match: *`, and refuse bodies that are not what their checksum says.
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";

/**
 * What happens to a request. "refused": 503, the server never sees it. "failed": it is done, and the answer is 500. "black-hole":
 * it goes nowhere and nothing comes. "stall": it is done, no answer comes. "cut-request": half of its body reaches the server.
 * "cut-reply": half of the answer's body comes back. "lose-reply": it is done, the connection ends without an answer. "reset": the
 * same with a reset. "slow": it is done, the answer trickles. "garbled-request", "garbled-reply": one bit of the body is
 * another. "conflict": 409, as for two conditional writes at once.
 */
export type Fault =
  | "refused"
  | "failed"
  | "black-hole"
  | "stall"
  | "cut-request"
  | "cut-reply"
  | "lose-reply"
  | "reset"
  | "slow"
  | "garbled-request"
  | "garbled-reply"
  | "conflict";

export const FAULTS: readonly Fault[] = [
  "refused",
  "failed",
  "black-hole",
  "stall",
  "cut-request",
  "cut-reply",
  "lose-reply",
  "reset",
  "slow",
  "garbled-request",
  "garbled-reply",
];

interface Plan {
  readonly fault: Fault;
  readonly method: string;
  readonly holding: string;
  times: number;
}

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export class Gateway {
  readonly #server: Server;
  readonly #target: number;
  readonly #plans: Plan[] = [];
  /** Every request as "METHOD path". */
  readonly seen: string[] = [];
  /** How many faults were done. */
  done = 0;
  /** Whether `If-None-Match: *` is heeded here, one request at a time. */
  conditions = false;
  /** So many keys in a page of a listing. */
  pageKeys: number | undefined;
  /** Answers instead of the server, or does something before it does. */
  answer: ((asked: Asked) => Promise<Reply | undefined> | Reply | undefined) | undefined;
  /** Changes a listing. */
  listing: ((xml: string) => string) | undefined;
  /** How far the clock of the server is ahead of the real one. */
  clockMs = 0;
  /** By how much it was when an object was stored. */
  readonly #storedMs = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on("request", (asked, reply) => {
      this.#serve(asked, reply).catch(() => asked.socket.destroy());
    });
  }

  static async before(target: number, { conditions = false } = {}): Promise<Gateway> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const gateway = new Gateway(server, target);
    gateway.conditions = conditions;
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Does so to the next request of that method whose path holds `text`; Infinity times until `clear`. */
  plan(fault: Fault, { method = "", holding = "", times = 1 } = {}): void {
    this.#plans.push({ fault, method, holding, times });
  }

  clear(): void {
    this.#plans.length = 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #faultFor(method: string, url: string): Fault | undefined {
    const plan = this.#plans.find((one) => (one.method === "" || one.method === method) && url.includes(one.holding));
    if (plan === undefined) return undefined;
    plan.times -= 1;
    if (plan.times <= 0) this.#plans.splice(this.#plans.indexOf(plan), 1);
    this.done += 1;
    return plan.fault;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const { method = "", url = "", headers } = incoming;
    const asked: Asked = { method, url: this.#paged(method, url), headers, body: Buffer.concat(parts) };
    this.seen.push(`${method} ${url}`);
    const fault = this.#faultFor(method, url);
    if (fault === "black-hole") return;
    if (fault === "refused") return send(outgoing, problem(503, "SlowDown"));
    if (fault === "conflict") return send(outgoing, problem(409, "ConditionalRequestConflict"));
    if (fault === "cut-request") {
      await this.#forward(asked, asked.body.length >> 1).catch(() => undefined);
      incoming.socket.destroy();
      return;
    }
    const reply = await this.#done(fault === "garbled-request" ? { ...asked, body: garbled(asked.body) } : asked);
    if (fault === "stall") return;
    if (fault === "failed") return send(outgoing, problem(500, "InternalError"));
    if (fault === "lose-reply") incoming.socket.destroy();
    else if (fault === "reset") incoming.socket.resetAndDestroy();
    else if (fault === "slow") trickle(outgoing, reply);
    else if (fault === "cut-reply") cut(outgoing, reply);
    else if (fault === "garbled-reply") send(outgoing, { ...reply, body: garbled(reply.body) });
    else send(outgoing, reply);
  }

  #paged(method: string, url: string): string {
    return this.pageKeys !== undefined && method === "GET" && url.includes("list-type=2")
      ? `${url}&max-keys=${this.pageKeys}`
      : url;
  }

  async #done(asked: Asked): Promise<Reply> {
    const own = await this.answer?.(asked);
    if (own !== undefined) return own;
    const sum = asked.headers["x-amz-checksum-sha256"];
    if (sum !== undefined && createHash("sha256").update(asked.body).digest("base64") !== sum)
      return problem(400, "BadDigest");
    const conditional = this.conditions && asked.method === "PUT" && asked.headers["if-none-match"] === "*";
    const reply = await (conditional ? this.#alone(() => this.#ifAbsent(asked)) : this.#forward(asked));
    const [path = ""] = asked.url.split("?");
    if (asked.method === "PUT" && reply.status === 200) this.#storedMs.set(path, this.clockMs);
    const modified = reply.headers["last-modified"];
    if (modified !== undefined)
      reply.headers["last-modified"] = new Date(Date.parse(modified) + (this.#storedMs.get(path) ?? 0)).toUTCString();
    if (this.listing === undefined || !asked.url.includes("list-type=2")) return reply;
    return { ...reply, body: Buffer.from(this.listing(reply.body.toString())) };
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work);
    this.#turn = mine;
    return mine;
  }

  async #ifAbsent(asked: Asked): Promise<Reply> {
    const { authorization } = asked.headers;
    const look = await this.#forward({ ...asked, method: "HEAD", headers: { authorization }, body: Buffer.alloc(0) });
    return look.status === 404 ? this.#forward(asked) : problem(412, "PreconditionFailed");
  }

  /** Sends a request on; with `bytes`, no more than so many of its body, and then the connection ends. */
  #forward({ method, url, headers, body }: Asked, bytes?: number): Promise<Reply> {
    const { expect: _, "transfer-encoding": __, ...kept } = headers;
    const length = body.length > 0 || method === "PUT" ? { "content-length": String(body.length) } : {};
    return new Promise((resolve, reject) => {
      const host = `127.0.0.1:${this.#target}`;
      const sent = httpRequest(
        {
          host: "127.0.0.1",
          port: this.#target,
          method,
          path: url,
          headers: { ...kept, ...length, host },
          agent: false,
        },
        (reply) => {
          const parts: Buffer[] = [];
          reply.on("data", (part: Buffer) => parts.push(part));
          reply.on("error", reject);
          reply.on("end", () =>
            resolve({ status: reply.statusCode ?? 0, headers: reply.headers, body: Buffer.concat(parts) }),
          );
        },
      );
      sent.on("error", reject);
      if (bytes === undefined) sent.end(body);
      else sent.write(body.subarray(0, bytes), () => setTimeout(() => sent.destroy(new Error("cut")), 20));
    });
  }
}

export function problem(status: number, code: string): Reply {
  const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code} said so</Message></Error>`;
  return { status, headers: { "content-type": "application/xml" }, body: Buffer.from(xml) };
}

function garbled(body: Buffer): Buffer {
  const other = Buffer.from(body);
  if (other.length > 0) other[other.length >> 1] = (other[other.length >> 1] as number) ^ 1;
  return other;
}

function begin(outgoing: ServerResponse, { status, headers, body }: Reply): void {
  const { "transfer-encoding": _, connection: __, "content-length": length, ...kept } = headers;
  // The answer to a HEAD says how long the body would be.
  outgoing.writeHead(status, { ...kept, "content-length": body.length > 0 ? body.length : (length ?? 0) });
}

function send(outgoing: ServerResponse, reply: Reply): void {
  begin(outgoing, reply);
  outgoing.end(reply.body);
}

function cut(outgoing: ServerResponse, reply: Reply): void {
  if (reply.body.length === 0) {
    outgoing.socket?.destroy();
    return;
  }
  begin(outgoing, reply);
  outgoing.write(reply.body.subarray(0, reply.body.length >> 1), () =>
    setTimeout(() => outgoing.socket?.destroy(), 20),
  );
}

/** The head at once, then a byte now and then; an answer without a body never comes. */
function trickle(outgoing: ServerResponse, reply: Reply): void {
  if (reply.body.length === 0) return;
  begin(outgoing, reply);
  let at = 0;
  const timer = setInterval(() => {
    if (outgoing.destroyed || at >= reply.body.length) clearInterval(timer);
    else outgoing.write(reply.body.subarray(at, ++at));
  }, 20);
  outgoing.on("close", () => clearInterval(timer));
}
