// What a persistent actor does with a command: decide, fold, commit, reply, in this order and one command at a time. It
// promises that an error means that nothing was stored, but for OUTCOME_UNKNOWN, after which the actor stops and looks.
import { ensureError, isPapyraError, PapyraError } from "../errors.ts";
import type { ActorContext, Behaviour, MessageContext } from "./behaviour.ts";
import { CommandScope, type Decided, type DecidedEvent } from "./decision.ts";
import { digestOf } from "./digest.ts";
import { evolve } from "./fold.ts";
import { isThenable } from "./incarnation.ts";
import type { Journal, NewJournalRecord, NewSnapshotRecord } from "./journal.ts";
import type { Definition } from "./persistent.ts";
import { recoverActor } from "./recovery.ts";
import type { Directive } from "./supervision.ts";

/** A command on its way; as plain as it is, it can become a dead letter. */
export interface CommandMessage {
  readonly type: string;
  readonly command: unknown;
}

/** Who a persistent actor is and where its history is kept. */
export interface PersistentIdentity {
  readonly definition: Definition;
  readonly id: string;
  readonly persistenceId: string;
  readonly systemId: string;
  readonly journal: () => Journal;
  readonly report: (error: Error) => void;
}

/** What outlives an incarnation: why it failed, for those who wait and for supervision. */
export class Fate {
  /** Why the actor could not recover. */
  recovery: Error | undefined;
  #verdicts: WeakMap<Error, Directive> | undefined;

  /** Remembers what is to follow from an error that is no failure of the command handler. */
  judge(error: Error, directive: Directive): Error {
    this.#verdicts ??= new WeakMap();
    this.#verdicts.set(error, directive);
    return error;
  }

  verdictOn(error: unknown): Directive | undefined {
    return error instanceof Error ? this.#verdicts?.get(error) : undefined;
  }
}

/** The behaviour of one incarnation. */
export class PersistentBehaviour implements Behaviour<CommandMessage, unknown> {
  readonly #identity: PersistentIdentity;
  readonly #fate: Fate;
  readonly #journal: Journal;
  #state: unknown;
  #revision = 0;
  #seq = 0;
  #snapshotRevision = 0;
  #snapshot: Promise<void> | undefined;

  constructor(identity: PersistentIdentity, fate: Fate) {
    this.#identity = identity;
    this.#fate = fate;
    this.#journal = identity.journal();
  }

  async started(_ctx: ActorContext): Promise<void> {
    const { definition, persistenceId, report } = this.#identity;
    try {
      const recovered = await recoverActor(this.#journal, definition, persistenceId, report);
      this.#state = recovered.state;
      this.#revision = recovered.revision;
      this.#seq = recovered.seq;
      this.#snapshotRevision = recovered.snapshotRevision;
    } catch (thrown) {
      this.#fate.recovery = ensureError(thrown);
      throw thrown;
    }
  }

  receive(message: CommandMessage, ctx: MessageContext<CommandMessage>): unknown {
    const { definition, id, persistenceId } = this.#identity;
    const handler = definition.commands.get(message.type);
    if (handler === undefined) {
      throw new PapyraError("OPTION_INVALID", `${definition.type} has no command \`${message.type}\``);
    }
    const scope = new CommandScope(
      { definition, id, persistenceId, revision: this.#revision },
      ctx as unknown as MessageContext<unknown>,
    );
    let returned: unknown;
    try {
      returned = handler(this.#state, message.command, scope);
    } catch (thrown) {
      throw this.#abandoned(scope, thrown);
    }
    if (!isThenable(returned)) return this.#carryOut(scope, scope.close(returned));
    return Promise.resolve(returned).then(
      (value) => this.#carryOut(scope, scope.close(value)),
      (thrown) => {
        throw this.#abandoned(scope, thrown);
      },
    );
  }

  async stopped(): Promise<void> {
    await this.#snapshot;
  }

  #abandoned(scope: CommandScope, thrown: unknown): unknown {
    return scope.abandon(thrown) ? this.#fate.judge(ensureError(thrown), "resume") : thrown;
  }

  /** Folds and replies on trial, before anything is stored: no event that fails to fold may get into the journal. */
  #carryOut(scope: CommandScope, decided: Decided): unknown {
    const events = decided.draft?.events ?? [];
    let after = this.#state;
    for (const { type, payload } of events) after = evolve(this.#identity.definition, after, type, payload);
    const reply = decided.replyOf(after);
    if (isThenable(reply)) {
      throw new PapyraError("OPTION_INVALID", "a reply must not be a promise", {
        hint: "make the command handler async and await there",
      });
    }
    if (events.length > 0) return this.#commit(scope, events, after, reply);
    scope.send();
    return reply;
  }

  async #commit(
    scope: CommandScope,
    events: readonly DecidedEvent[],
    after: unknown,
    reply: unknown,
  ): Promise<unknown> {
    try {
      const { revision, seq } = await this.#journal.append(this.#records(scope, events));
      this.#revision = revision;
      this.#seq = seq;
    } catch (thrown) {
      // Refused before anything was written: the actor goes on. All else: it must look at what is stored.
      const refused = isPapyraError(thrown, "RECORD_INVALID") || isPapyraError(thrown, "RECORD_TOO_LARGE");
      throw this.#fate.judge(ensureError(thrown), refused ? "resume" : "stop");
    }
    this.#state = after;
    this.#considerSnapshot();
    scope.send();
    return reply;
  }

  #records(scope: CommandScope, events: readonly DecidedEvent[]): NewJournalRecord[] {
    const { definition, persistenceId, systemId } = this.#identity;
    return events.map(({ type, payload }, i) => ({
      kind: "journal",
      system_id: systemId,
      persistence_id: persistenceId,
      revision: this.#revision + 1 + i,
      event_type: type,
      version: definition.version,
      ...(events.length > 1 && { group: [i + 1, events.length] as const }),
      message_id: scope.messageId,
      correlation_id: scope.correlationId,
      payload,
    }));
  }

  /** Takes a snapshot beside the commands; one at a time. */
  #considerSnapshot(): void {
    const { snapshotEvery } = this.#identity.definition;
    if (snapshotEvery === 0 || this.#snapshot !== undefined) return;
    if (this.#revision - this.#snapshotRevision < snapshotEvery) return;
    this.#snapshot = this.#takeSnapshot().finally(() => {
      this.#snapshot = undefined;
    });
  }

  /** Best effort: a failure is counted and reported, and the next command tries again. */
  async #takeSnapshot(): Promise<void> {
    const { persistenceId, report } = this.#identity;
    const revision = this.#revision;
    try {
      await this.#journal.appendSnapshot(this.#snapshotRecord());
      this.#snapshotRevision = revision;
    } catch (thrown) {
      this.#journal.counters.snapshotsFailed += 1;
      const cause = ensureError(thrown);
      report(new PapyraError("STORAGE_FAILED", `no snapshot of ${persistenceId}: ${cause.message}`, { cause }));
    }
  }

  #snapshotRecord(): NewSnapshotRecord {
    const { definition, persistenceId, systemId } = this.#identity;
    const { stateVersion } = definition;
    return {
      kind: "snapshot",
      system_id: systemId,
      persistence_id: persistenceId,
      revision: this.#revision,
      journal_seq: this.#seq,
      digest: digestOf(this.#state),
      ...(stateVersion !== 1 && { version: stateVersion }),
      // As JSON holds it, which knows no minus zero, and in the order of its keys.
      payload: JSON.parse(JSON.stringify(this.#state)),
    };
  }
}
