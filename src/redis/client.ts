// The only file that knows the package `redis`. It is loaded when the first command is sent: it is an optional peer.
import type { Clock } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { type Argument, inTime, type NodeAddress, type RawClient, type Reply, ServerError } from "./connection.ts";
import type { ResolvedRedisOptions } from "./options.ts";

type Package = typeof import("redis");

/** Makes a client that fails fast and does nothing by itself, and connects it, to the node of a cluster if one is named. */
export async function connectClient(
  options: ResolvedRedisOptions,
  clock: Clock,
  node?: NodeAddress,
): Promise<RawClient> {
  const library = await load();
  const { timing } = options;
  const settings = {
    RESP: 2,
    disableOfflineQueue: true,
    commandsQueueMaxLength: 10_000,
    commandOptions: { timeout: 0 }, // connection.ts has one; an AbortSignal a command would cost as much as the command
    socket: { reconnectStrategy: false, connectTimeout: timing.commandTimeoutMs },
  } as const;
  const client =
    options.client === undefined
      ? library.createClient({ ...settings, url: urlAt(options.url as string, node) })
      : library.createClient({ ...settings, ...lent(options.client, { ...settings.socket, ...at(node) }) });
  client.on("error", () => undefined); // whoever waits for an answer is told
  const bytes = client.withTypeMapping({ [library.RESP_TYPES.BLOB_STRING]: Buffer });
  const told = (error: unknown): never => {
    throw error instanceof library.ErrorReply ? new ServerError(error.message) : error;
  };
  try {
    await inTime(client.connect(), "the greeting", clock, timing);
  } catch (error) {
    destroy(client);
    told(error);
  }
  return {
    destroy: () => destroy(client),
    ref: () => client.ref(),
    unref: () => client.unref(),
    send: (args: readonly Argument[]) => bytes.sendCommand<Reply>(args).catch(told),
  };
}

function urlAt(url: string, node: NodeAddress | undefined): string {
  if (node === undefined) return url;
  const moved = new URL(url);
  if (node.host !== undefined) moved.hostname = node.host.includes(":") ? `[${node.host}]` : node.host;
  moved.port = String(node.port);
  return moved.href;
}

function at(node: NodeAddress | undefined): object {
  if (node === undefined) return {};
  return node.host === undefined ? { port: node.port } : { host: node.host, port: node.port };
}

/** Where a client connects to, and as whom. What else it is set to (caches, retries, protocol) is its own business. */
function lent(client: object, socket: object): object {
  const { options = {} } = client as { readonly options?: Readonly<Record<string, unknown>> };
  const { username, password, credentialsProvider, database, name } = options;
  const who = Object.entries({ username, password, credentialsProvider, database, name });
  const known = Object.fromEntries(who.filter(([, value]) => value !== undefined));
  return { ...known, socket: { ...(options.socket as object | undefined), ...socket } };
}

function destroy(client: { destroy(): void }): void {
  try {
    client.destroy();
  } catch {
    // it had ended by itself
  }
}

async function load(): Promise<Package> {
  try {
    return await import("redis");
  } catch (cause) {
    throw new PapyraError("CLIENT_MISSING", "the package redis is not installed", {
      cause,
      hint: "run: npm install redis@6",
    });
  }
}
