// What a persistent actor does with a command: decide, fold, commit, reply, in this order and one command at a time. It
// promises that an error means that nothing was stored, but for OUTCOME_UNKNOWN, after which the actor stops and looks.
import { ensureError, type ErrorCode, isPapyraError, PapyraError } from "../errors.ts";
import { SNAPSHOTS_KEPT } from "../log/retention.ts";
import type { ActorContext, Behaviour, MessageContext } from "./behaviour.ts";
import { caught } from "./caught.ts";
import { failureOf, Refusal } from "./crash.ts";
import { CommandScope, type Decided, type DecidedEvent, isRefusal, refusePromise } from "./decision.ts";
import { digestOf } from "./digest.ts";
import { evolve } from "./fold.ts";
import { GIVEN_UP, isThenable } from "./incarnation.ts";
import type { Journal, NewJournalRecord, NewSnapshotRecord } from "./journal.ts";
import type { Definition } from "./persistent.ts";
import { recoverActor } from "./recovery.ts";
import { SnapshotSchedule } from "./snapshot-schedule.ts";

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
  #fatal: Error | undefined;

  /** Remembers an error after which the actor must look at what is stored, whatever its supervision says. */
  end(error: Error): Error {
    this.#fatal = error;
    return error;
  }

  isFatal(error: unknown): boolean {
    return error !== undefined && error === this.#fatal;
  }
}

/** The handler threw. A payload that cannot be stored is refused; all else is a failure. */
function abandoned(scope: CommandScope, thrown: unknown): Refusal {
  const refused = scope.abandon(thrown);
  if (refused === undefined) throw thrown;
  return new Refusal(refused);
}

/** The behaviour of one incarnation. */
export class PersistentBehaviour implements Behaviour<CommandMessage, unknown> {
  readonly #identity: PersistentIdentity;
  readonly #fate: Fate;
  readonly #journal: Journal;
  #state: unknown;
  #revision = 0;
  #seq = 0;
  #schedule: SnapshotSchedule;
  #writing = false;
  #givenUp = false;
  #snapshot: Promise<void> | undefined;

  constructor(identity: PersistentIdentity, fate: Fate) {
    this.#identity = identity;
    this.#fate = fate;
    this.#journal = identity.journal();
    this.#schedule = new SnapshotSchedule(identity.definition.snapshot, 0, undefined);
  }

  async started(ctx: ActorContext): Promise<void> {
    const { definition, persistenceId, report } = this.#identity;
    try {
      const recovered = await recoverActor(this.#journal, definition, persistenceId, report);
      this.#state = recovered.state;
      this.#revision = recovered.revision;
      this.#seq = recovered.seq;
      this.#schedule = new SnapshotSchedule(definition.snapshot, recovered.snapshotRevision, recovered.waitingMs);
    } catch (thrown) {
      const error = caught(thrown);
      this.#fate.recovery = isPapyraError(error) ? error : failureOf(ctx.address, error, thrown);
      throw thrown;
    }
  }

  receive(message: CommandMessage, ctx: MessageContext<CommandMessage>): unknown {
    this.#writing = false;
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
      return abandoned(scope, thrown);
    }
    if (!isThenable(returned)) return this.#carryOut(scope, scope.close(returned));
    return Promise.resolve(returned).then(
      (value) => this.#carryOut(scope, scope.close(value)),
      (thrown) => abandoned(scope, thrown),
    );
  }

  /** What is being written may become durable all the same; what is not, must not be any more. */
  readonly [GIVEN_UP] = (): Error | undefined => {
    this.#givenUp = true;
    if (!this.#writing) return undefined;
    const { persistenceId } = this.#identity;
    return new PapyraError(
      "OUTCOME_UNKNOWN",
      `${persistenceId} was given up while its events were being written: they may be stored or not`,
      { hint: "ask it again: it recovers, and knows", details: { persistenceId } },
    );
  };

  async stopped(): Promise<void> {
    await this.#snapshot;
  }

  /** Folds and replies on trial, before anything is stored: no event that fails to fold may get into the journal. */
  #carryOut(scope: CommandScope, decided: Decided): unknown {
    const events = decided.draft?.events ?? [];
    let after = this.#state;
    for (const { type, payload } of events) after = evolve(this.#identity.definition, after, type, payload);
    const reply = decided.replyOf(after);
    refusePromise(reply);
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
    // Whoever asked has been told that nothing comes of it, and another incarnation may follow.
    if (this.#givenUp) throw new PapyraError("ACTOR_STOPPED", `${this.#identity.persistenceId} was given up`);
    this.#writing = true;
    try {
      const { revision, seq } = await this.#journal.append(this.#records(scope, events));
      this.#revision = revision;
      this.#seq = seq;
    } catch (thrown) {
      // Refused before anything was written: the actor goes on. All else: it must look at what is stored.
      if (isRefusal(thrown)) return new Refusal(thrown);
      throw this.#fate.end(ensureError(thrown));
    }
    this.#state = after;
    if (!this.#givenUp) this.#considerSnapshot(events);
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
  #considerSnapshot(events: readonly DecidedEvent[]): void {
    const committed = { revision: this.#revision, eventTypes: events.map(({ type }) => type) };
    try {
      const due = this.#schedule.isDue(this.#state, committed, this.#journal.store.backend.env.clock.nowMs());
      if (!due || this.#snapshot !== undefined) return;
    } catch (thrown) {
      this.#noSnapshot(ensureError(thrown), "ACTOR_FAILED");
      return;
    }
    this.#snapshot = this.#takeSnapshot().finally(() => {
      this.#snapshot = undefined;
    });
  }

  /** Best effort: a failure is counted and reported, and tried again later. */
  async #takeSnapshot(): Promise<void> {
    const revision = this.#revision;
    this.#schedule.begun();
    try {
      await this.#journal.appendSnapshot(this.#snapshotRecord());
      this.#schedule.taken(revision);
    } catch (thrown) {
      this.#schedule.failed(revision);
      const cause = ensureError(thrown);
      this.#noSnapshot(cause, isPapyraError(cause) ? cause.code : "STORAGE_FAILED");
    }
  }

  #noSnapshot(cause: Error, code: ErrorCode): void {
    const { persistenceId, report } = this.#identity;
    this.#journal.counters.snapshotsFailed += 1;
    const what = `no snapshot of ${persistenceId}: ${cause.message}`;
    report(new PapyraError(code, what, { cause, details: { persistenceId } }));
  }

  #snapshotRecord(): NewSnapshotRecord {
    const { definition, persistenceId, systemId } = this.#identity;
    const { stateVersion, snapshot } = definition;
    return {
      kind: "snapshot",
      system_id: systemId,
      persistence_id: persistenceId,
      revision: this.#revision,
      journal_seq: this.#seq,
      digest: digestOf(this.#state),
      ...(stateVersion !== 1 && { version: stateVersion }),
      ...(snapshot.keep !== SNAPSHOTS_KEPT && { keep: snapshot.keep }),
      // As JSON holds it, which knows no minus zero, and in the order of its keys.
      payload: JSON.parse(JSON.stringify(this.#state)),
    };
  }
}
