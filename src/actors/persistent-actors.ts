// The persistent actors of a system: from a definition and an id to the one live actor, which is started when a message
// needs it. Its handles outlive it: after a stop, the next message starts it again, and it recovers.
import type { Store } from "../backends/store.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import type { SpawnOptions } from "./actor-options.ts";
import type { AskOptions, BehaviourFactory, StopOptions, TellOptions } from "./behaviour.ts";
import { erased } from "./context.ts";
import { givenOr } from "./decision.ts";
import { Journal, type JournalCounters, NOTHING_COUNTED } from "./journal.ts";
import {
  type AnyPersistentActor,
  type Definition,
  definitionOf,
  persistenceIdOf,
  type PersistentRef,
} from "./persistent.ts";
import { type CommandMessage, Fate, PersistentBehaviour, type PersistentIdentity } from "./persistent-behaviour.ts";
import type { Ref } from "./ref.ts";
import type { Directive, Failure } from "./supervision.ts";

/** A running actor, as far as it is needed here. */
interface Live {
  readonly ref: Ref;
  readonly accepting: boolean;
  readonly stopped: boolean;
}

/** What persistent actors need of the system around them. */
export interface PersistentHost {
  addressOf(path: readonly string[]): string;
  /** Waits for nobody but for what it spawned itself. Rejects with NAME_TAKEN. */
  findOrSpawnRoot(
    path: readonly string[],
    factory: BehaviourFactory<unknown, unknown>,
    options: SpawnOptions | undefined,
  ): Live;
  deadLetter(target: string, message: unknown, reason: string): void;
  problem(error: Error): void;
}

interface Running {
  readonly cell: Live;
  readonly fate: Fate;
}

/** Below this many, stopped actors are not looked for. */
const SWEEP_MIN = 1024;

/** The persistent actors of one system. */
export class PersistentActors {
  readonly #host: PersistentHost;
  readonly #systemId: string;
  readonly #openStore: () => Store;
  readonly #definitions = new Map<string, Definition>();
  readonly #running = new Map<string, Running>();
  #sweepAt = SWEEP_MIN;
  #journal: Journal | undefined;

  /** `openStore` returns the open store, or throws why there is none. */
  constructor(host: PersistentHost, systemId: string, openStore: () => Store) {
    this.#host = host;
    this.#systemId = systemId;
    this.#openStore = openStore;
  }

  /** Resolves when nothing is read or written any more: the actors have stopped. */
  async close(): Promise<void> {
    await this.#journal?.close();
  }

  /** What was counted. */
  get counters(): Readonly<JournalCounters> {
    return this.#journal?.counters ?? NOTHING_COUNTED;
  }

  /** A handle. Rejects with OPTION_INVALID: a bad id, or a second definition for a type. */
  get<H>(actor: AnyPersistentActor, id: string): PersistentRef<H> {
    const definition = definitionOf(actor);
    const { type } = definition;
    const persistenceId = persistenceIdOf(type, id);
    const known = this.#definitions.get(type);
    if (known !== undefined && known !== definition) {
      throw new PapyraError("OPTION_INVALID", `another definition of the type ${JSON.stringify(type)} is in use`, {
        hint: "define each type once, in a module of its own, and import it",
      });
    }
    this.#definitions.set(type, definition);
    const identity: PersistentIdentity = {
      definition,
      id,
      persistenceId,
      systemId: this.#systemId,
      journal: () => (this.#journal ??= new Journal(this.#openStore())),
      report: (error) => this.#host.problem(error),
    };
    return new Handle(this, identity, this.#host.addressOf([type, id])) as unknown as PersistentRef<H>;
  }

  async ask(identity: PersistentIdentity, message: CommandMessage, options: AskOptions | undefined): Promise<unknown> {
    assertCommand(identity.definition, message.type);
    const { cell, fate } = this.#start(identity);
    try {
      return await cell.ref.ask(message, options);
    } catch (error) {
      // Why it could not be stored, or recovered, is what the asker can act on.
      if (isPapyraError(error, "ACTOR_FAILED") && fate.isFatal(error.cause)) throw error.cause;
      if (isPapyraError(error, "ACTOR_STOPPED") && fate.recovery !== undefined) throw fate.recovery;
      throw error;
    }
  }

  tell(identity: PersistentIdentity, address: string, message: CommandMessage, options: TellOptions | undefined): void {
    try {
      assertCommand(identity.definition, message.type);
      this.#start(identity).cell.ref.tell(message, options);
    } catch (error) {
      this.#host.deadLetter(address, message, error instanceof Error ? error.message : String(error));
    }
  }

  async stop(identity: PersistentIdentity, options: StopOptions | undefined): Promise<void> {
    await this.#running.get(identity.persistenceId)?.cell.ref.stop(options);
  }

  #start(identity: PersistentIdentity): Running {
    const { definition, id, persistenceId } = identity;
    const known = this.#running.get(persistenceId);
    if (known?.cell.accepting === true) return known;
    this.#openStore();
    const fate = new Fate();
    const factory = erased(() => new PersistentBehaviour(identity, fate));
    const cell = this.#host.findOrSpawnRoot([definition.type, id], factory, spawnOptions(definition, fate));
    const running = { cell, fate };
    this.#running.set(persistenceId, running);
    this.#sweep();
    return running;
  }

  /** Forgets actors that have stopped, now and then: there may be many more of them than are running. */
  #sweep(): void {
    if (this.#running.size < this.#sweepAt) return;
    for (const [persistenceId, { cell }] of this.#running) if (cell.stopped) this.#running.delete(persistenceId);
    this.#sweepAt = Math.max(SWEEP_MIN, this.#running.size * 2);
  }
}

/** What follows from failures: of the machinery, as it must; of the handlers, as the definition says. */
function spawnOptions(definition: Definition, fate: Fate): SpawnOptions {
  const { supervision } = definition.actor;
  const wanted = supervision?.onFailure ?? "resume";
  const onFailure = (failure: Failure): Directive => {
    if (failure.phase === "started") return "stop";
    if (fate.isFatal(failure.error)) return "stop";
    return typeof wanted === "function" ? wanted(failure) : wanted;
  };
  return { ...definition.actor, supervision: { ...supervision, onFailure } };
}

function assertCommand(definition: Definition, name: unknown): void {
  if (typeof name === "string" && definition.commands.has(name)) return;
  throw new PapyraError("OPTION_INVALID", `${definition.type} has no command \`${String(name)}\``, {
    hint: `it has: ${[...definition.commands.keys()].join(", ")}`,
  });
}

/** The one implementation of {@link PersistentRef}. */
class Handle {
  readonly id: string;
  readonly persistenceId: string;
  readonly address: string;
  readonly #actors: PersistentActors;
  readonly #identity: PersistentIdentity;

  constructor(actors: PersistentActors, identity: PersistentIdentity, address: string) {
    this.id = identity.id;
    this.persistenceId = identity.persistenceId;
    this.address = address;
    this.#actors = actors;
    this.#identity = identity;
  }

  ask(name: string, ...given: readonly [command?: unknown, options?: AskOptions]): Promise<unknown> {
    return this.#actors.ask(this.#identity, { type: name, command: givenOr({}, given) }, given[1]);
  }

  tell(name: string, ...given: readonly [command?: unknown, options?: TellOptions]): void {
    const message = { type: name, command: givenOr({}, given) };
    this.#actors.tell(this.#identity, this.address, message, given[1]);
  }

  stop(options?: StopOptions): Promise<void> {
    return this.#actors.stop(this.#identity, options);
  }
}
