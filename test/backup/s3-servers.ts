// Real servers that speak S3, each a process of its own. `fauxqs` comes with the development packages; `moto` (Python) is used
// where it is installed. Neither judges signatures or checksums, and fauxqs ignores conditional writes: what S3 does about
// these, the gateway in front of it does (gateway.ts).
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../redis/server.ts";
import { ROOT } from "../source.ts";

const READY_MS = 30_000;

/** Whether the Python server is installed. */
export const hasMoto: boolean =
  spawnSync("python3", ["-c", "import moto, flask"], { stdio: "ignore", timeout: 60_000 }).status === 0;

// Both end when their stdin does: when these tests are killed, too.
const FAUXQS = `
  process.stdin.on("end", () => process.exit()).resume();
  import(${JSON.stringify(pathToFileURL(join(ROOT, "node_modules/fauxqs/dist/cli.js")).href)});
`;
const MOTO = `
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(["-H", "127.0.0.1", "-p", os.environ["PORT"]])
`;

export class S3Server {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  static async start(program: "fauxqs" | "moto"): Promise<S3Server> {
    const port = await freePort();
    const [command, args] = program === "moto" ? ["python3", ["-c", MOTO]] : [process.execPath, ["-e", FAUXQS]];
    const env = { ...process.env, PORT: String(port), FAUXQS_PORT: String(port), FAUXQS_LOGGER: "false" };
    const child = spawn(command, args, { stdio: ["pipe", "ignore", "pipe"], env });
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said = `${said}${String(text)}`.slice(-4000)));
    const end = Date.now() + READY_MS;
    while (!(await answers(port))) {
      if (child.exitCode !== null || Date.now() > end) throw new Error(`${program} does not answer:\n${said}`);
      await delay(30);
    }
    return new S3Server(port, child);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

async function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    async (reply) => {
      await reply.arrayBuffer();
      return true;
    },
    () => false,
  );
}

let buckets = 0;

/** Makes a bucket of a name that nobody else has. */
export async function makeBucket(url: string, headers: Record<string, string> = {}): Promise<string> {
  const bucket = `papyra-${process.pid}-${++buckets}`;
  await behind(`${url}/${bucket}`, { method: "PUT", headers });
  return bucket;
}

/** A request behind the back of the store. The servers want to see a signature, and do not look at it. */
export async function behind(
  url: string,
  init: { method?: string; headers?: Record<string, string>; body?: string } = {},
) {
  const authorization =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";
  const reply = await fetch(url, { ...init, headers: { authorization, ...init.headers } });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${init.method ?? "GET"} ${url}: ${reply.status} ${text}`);
  return text;
}

/** Every key in a bucket. */
export async function keysIn(url: string, bucket: string): Promise<string[]> {
  const xml = await behind(`${url}/${bucket}?list-type=2`);
  return [...xml.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key as string);
}

export const CREDENTIALS = { accessKeyId: "test-key-id", secretAccessKey: "test-secret-key" };
