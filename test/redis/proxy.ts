// A TCP proxy in front of a server that does to the next command what networks do.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * What happens to the next request. "cut-request": half of it arrives. "cut-reply": it arrives, and half of the answer comes
 * back. "lose-reply": it arrives, and the connection ends before the answer. "reset": the same with a reset. "half-close": it
 * arrives, and the answer is only an end. "stall": it arrives, no answer comes and nothing ends. "black-hole": not even the
 * request arrives. "late": it arrives when `deliver` is called, long after the connection has ended for the client.
 * "gone-before", "gone-behind": the server is not reachable any more from this request on, or from its answer on.
 */
export type Fault =
  | "cut-request"
  | "cut-reply"
  | "lose-reply"
  | "reset"
  | "half-close"
  | "stall"
  | "black-hole"
  | "late"
  | "gone-before"
  | "gone-behind";

export const FAULTS: readonly Fault[] = [
  "cut-request",
  "cut-reply",
  "lose-reply",
  "reset",
  "half-close",
  "stall",
  "black-hole",
];

export class ChaosProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  /** Done to the next request that holds this text. */
  #planned: { fault: Fault; holding: string }[] = [];
  /** How many faults were done. */
  done = 0;
  /** So long everything takes that passes, each way. */
  latencyMs = 0;
  #refusing = false;
  readonly #held: Buffer[] = [];

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on("connection", (client) => this.#accept(client));
  }

  static async before(target: number): Promise<ChaosProxy> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ChaosProxy(server, target);
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Plans a fault for the next request that holds `text`; several are done one after the other. */
  plan(fault: Fault, holding: string): void {
    this.#planned.push({ fault, holding });
  }

  /** Delivers what was held back, and resolves with what the server said to it. */
  async deliver(): Promise<string> {
    const held = this.#held.shift();
    if (held === undefined) throw new Error("nothing was held back");
    const server = connect(this.#target, "127.0.0.1");
    server.write(held);
    const [reply] = (await once(server, "data")) as [Buffer];
    server.destroy();
    return String(reply);
  }

  /** Cuts every connection, and accepts none until told otherwise. */
  partition(on: boolean): void {
    this.#refusing = on;
    if (on) for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const server = connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true });
    const link = { client, server, after: undefined as Fault | undefined };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on("data", (bytes: Buffer) => this.#request(link, bytes));
    server.on("data", (bytes: Buffer) => this.#reply(link, bytes));
    client.on("end", () => server.end());
    server.on("end", () => client.end());
  }

  #request(link: { client: Socket; server: Socket; after: Fault | undefined }, bytes: Buffer): void {
    const [planned] = this.#planned;
    if (link.after !== undefined) return; // this connection is done for
    if (planned === undefined || !bytes.includes(planned.holding)) {
      this.#pass(link.server, bytes);
      return;
    }
    this.#planned.shift();
    this.done += 1;
    link.after = planned.fault;
    if (planned.fault === "black-hole") return;
    if (planned.fault === "late") {
      this.#held.push(Buffer.from(bytes));
      link.client.destroy();
      return;
    }
    if (planned.fault === "gone-before") {
      this.partition(true);
      return;
    }
    if (planned.fault !== "cut-request") {
      link.server.write(bytes);
      return;
    }
    link.server.write(bytes.subarray(0, bytes.length / 2), () => {
      link.client.destroy();
      link.server.destroy();
    });
  }

  #pass(to: Socket, bytes: Buffer): void {
    if (this.latencyMs === 0) to.write(bytes);
    else setTimeout(() => to.write(bytes), this.latencyMs);
  }

  #reply({ client, server, after }: { client: Socket; server: Socket; after: Fault | undefined }, bytes: Buffer): void {
    if (after === undefined) this.#pass(client, bytes);
    else if (after === "cut-reply") client.write(bytes.subarray(0, bytes.length / 2), () => client.destroy());
    else if (after === "lose-reply") client.destroy();
    else if (after === "reset") client.resetAndDestroy();
    else if (after === "half-close") client.end();
    else if (after === "gone-behind") this.partition(true);
    if (after !== undefined && after !== "stall" && after !== "black-hole") server.end();
  }
}
