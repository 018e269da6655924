// A real Redis (or Valkey) server for tests, on a port of its own. Found on PATH, or named by PAPYRA_REDIS_SERVER; where there
// is none the tests fail, they are never skipped.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "redis";

const PROGRAM = process.env.PAPYRA_REDIS_SERVER ?? "redis-server";
const READY_MS = 20_000;

export type Admin = ReturnType<typeof connectAdmin>;

function connectAdmin(port: number) {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP: 2 });
  client.on("error", () => undefined); // it connects again; what fails meanwhile rejects
  return client;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** A server with its data directory; it may be killed and started again on the same data. */
export class RedisServer {
  readonly port: number;
  /** Where other nodes of a cluster speak to it: by default ten thousand ports on, which may be none. */
  readonly busPort: number;
  readonly directory: string;
  readonly #settings: readonly string[];
  #child: ChildProcess | undefined;
  #output = "";

  readonly #program: string;

  private constructor(
    program: string,
    ports: readonly [number, number],
    directory: string,
    settings: readonly string[],
  ) {
    this.#program = program;
    [this.port, this.busPort] = ports;
    this.directory = directory;
    const bus = settings.includes("--cluster-enabled") ? ["--cluster-port", String(this.busPort)] : [];
    this.#settings = [...settings, ...bus];
  }

  /** `settings` as on the command line of redis-server: "--appendonly", "yes". */
  static start(...settings: readonly string[]): Promise<RedisServer> {
    return RedisServer.startProgram(undefined, ...settings);
  }

  static async startProgram(program: string | undefined, ...settings: readonly string[]): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), "papyra-redis-"));
    const server = new RedisServer(program ?? PROGRAM, [await freePort(), await freePort()], directory, settings);
    await server.run();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, with further settings, and waits until it answers. */
  async run(...more: readonly string[]): Promise<void> {
    const fixed = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.directory, "--save", ""];
    const child = spawn(this.#program, [...fixed, ...this.#settings, ...more], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    child.stdout.on("data", (text: Buffer) => (this.#output = `${this.#output}${String(text)}`.slice(-4000)));
    let failure: Error | undefined;
    child.once("error", (error) => (failure = error));
    const end = Date.now() + READY_MS;
    while (!(await this.#answers())) {
      if (failure !== undefined)
        throw new Error(`${this.#program} does not run: install it (apt-get install redis-server)`, { cause: failure });
      if (child.exitCode !== null) throw new Error(`${this.#program} ended with ${child.exitCode}:\n${this.#output}`);
      if (Date.now() > end) throw new Error(`${this.#program} did not answer:\n${this.#output}`);
      await delay(20);
    }
  }

  async #answers(): Promise<boolean> {
    return (await this.ask("PING")).startsWith("+PONG");
  }

  /** The first bytes of the answer to a command over a connection of its own; none where nobody answers. */
  async ask(command: string): Promise<string> {
    const socket = connect(this.port, "127.0.0.1");
    try {
      await once(socket, "connect");
      socket.write(`${command}\r\n`);
      const [reply] = (await once(socket, "data")) as [Buffer];
      return String(reply);
    } catch {
      return "";
    } finally {
      socket.destroy();
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** kill -9, and waits for the end. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async stop(): Promise<void> {
    await this.kill();
    // What the server forked may write for a moment longer.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 10 });
  }

  /** A client that does what it is told, behind the store's back. */
  async admin(): Promise<Admin> {
    const client = connectAdmin(this.port);
    await client.connect();
    return client;
  }
}
