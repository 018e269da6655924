// The only file that knows the package `redis`. It is loaded when the first command is sent: it is an optional peer.
import { PapyraError } from "../errors.ts";
import { type Argument, type RawClient, type Reply, ServerError } from "./connection.ts";
import type { ResolvedRedisOptions } from "./options.ts";

type Package = typeof import("redis");

/** Makes a client that fails fast and does nothing by itself, and connects it. */
export async function connectClient(options: ResolvedRedisOptions): Promise<RawClient> {
  const library = await load();
  const { timing } = options;
  const settings = {
    RESP: 2,
    disableOfflineQueue: true,
    commandsQueueMaxLength: 10_000,
    commandOptions: { timeout: timing.commandTimeoutMs },
    socket: { reconnectStrategy: false, connectTimeout: timing.commandTimeoutMs },
  } as const;
  const given = options.client as { readonly options?: { readonly socket?: object } } | undefined;
  const client =
    given === undefined
      ? library.createClient({ ...settings, url: options.url as string })
      : library.createClient({
          ...given.options,
          ...settings,
          socket: { ...given.options?.socket, ...settings.socket },
        });
  client.on("error", () => undefined); // whoever waits for an answer is told
  const bytes = client.withTypeMapping({ [library.RESP_TYPES.BLOB_STRING]: Buffer });
  const told = (error: unknown): never => {
    throw error instanceof library.ErrorReply ? new ServerError(error.message) : error;
  };
  try {
    await client.connect();
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
