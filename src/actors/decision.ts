// What a command handler is given and what it hands back. Events are checked and copied as JSON holds them the moment they
// are named, so that what is folded now is what a replay will fold; messages are held back until the events are durable.
import { isPapyraError, PapyraError } from "../errors.ts";
import { encodeFields } from "../log/codec.ts";
import type { ActorRef, MessageContext } from "./behaviour.ts";
import { isThenable } from "./incarnation.ts";
import type { Definition } from "./persistent.ts";

/** An event that was decided on. */
export interface DecidedEvent {
  readonly type: string;
  readonly payload: unknown;
}

/** What a command came to. The types that users see are in persistent.ts. */
export class Decided {
  readonly draft: EventDraft | undefined;
  readonly replyOf: (after: unknown) => unknown;

  constructor(draft: EventDraft | undefined, replyOf: (after: unknown) => unknown) {
    this.draft = draft;
    this.replyOf = replyOf;
  }
}

const nothing = (): undefined => undefined;

/** The first argument, also if it is undefined, or else `fallback`. */
export function givenOr(fallback: unknown, given: readonly unknown[]): unknown {
  return given.length === 0 ? fallback : given[0];
}

/** Whether an error says that a payload cannot be stored. */
export function isRefusal(error: unknown): error is PapyraError {
  return isPapyraError(error, "RECORD_INVALID") || isPapyraError(error, "RECORD_TOO_LARGE");
}

/** Refuses a promise as a reply. Nobody awaits it from here on, so that its rejection must not end the process. */
export function refusePromise(reply: unknown): void {
  if (!isThenable(reply)) return;
  Promise.resolve(reply).then(undefined, nothing);
  throw new PapyraError("OPTION_INVALID", "a reply must not be a promise", {
    hint: "make the command handler async and await there",
  });
}

/** Events of one command, in the making. */
export class EventDraft {
  readonly events: DecidedEvent[] = [];
  readonly #definition: Definition;
  readonly #onRejected: (error: PapyraError) => void;

  constructor(definition: Definition, onRejected: (error: PapyraError) => void) {
    this.#definition = definition;
    this.#onRejected = onRejected;
  }

  and(name: string, ...given: readonly unknown[]): this {
    if (!this.#definition.events.has(name)) {
      throw new PapyraError("OPTION_INVALID", `${this.#definition.type} has no event \`${String(name)}\``, {
        hint: `it has: ${[...this.#definition.events.keys()].join(", ")}`,
      });
    }
    try {
      this.events.push({ type: name, payload: asStored(givenOr({}, given)) });
    } catch (error) {
      // Anything else was thrown by the payload itself, by a getter of its own: that is a failure of the handler.
      if (isRefusal(error)) this.#onRejected(error);
      throw error;
    }
    return this;
  }

  andAll(events: readonly (readonly [name: string, payload?: unknown])[]): this {
    for (const [name, ...given] of events) this.and(name, ...given);
    return this;
  }

  reply(value: (after: unknown) => unknown): Decided {
    if (typeof value !== "function")
      throw new PapyraError("OPTION_INVALID", "`reply` takes a function of the new state");
    return new Decided(this, value);
  }

  noReply(): Decided {
    return new Decided(this, nothing);
  }
}

/** A value as it comes back from its record. Rejects with RECORD_INVALID and the path of what would change on the way. */
function asStored(payload: unknown): unknown {
  if (payload === undefined) {
    throw new PapyraError("RECORD_INVALID", "payload is undefined, which JSON cannot hold unchanged", {
      hint: "leave the payload out, or persist null",
      details: { path: "payload", what: "undefined" },
    });
  }
  const text = encodeFields({ payload });
  return (JSON.parse(`{${text.slice(1)}}`) as { payload: unknown }).payload;
}

/** A persistent ref, as far as it is needed to send to one. */
interface CommandTarget {
  readonly persistenceId: string;
  tell(name: string, command: unknown, options: { readonly correlationId: string }): void;
}

/** Which actor a command is for. */
export interface Addressee {
  readonly definition: Definition;
  readonly id: string;
  readonly persistenceId: string;
  readonly revision: number;
}

/** The one implementation of {@link CommandContext}. */
export class CommandScope {
  readonly id: string;
  readonly persistenceId: string;
  readonly revision: number;
  readonly #definition: Definition;
  readonly #message: MessageContext<unknown>;
  readonly #drafts: EventDraft[] = [];
  readonly #outgoing: (() => void)[] = [];
  #open = true;
  /** What a payload was refused with: no failure of the handler. */
  #rejection: PapyraError | undefined;

  constructor(to: Addressee, message: MessageContext<unknown>) {
    this.id = to.id;
    this.persistenceId = to.persistenceId;
    this.revision = to.revision;
    this.#definition = to.definition;
    this.#message = message;
  }

  get messageId(): string {
    return this.#message.messageId;
  }

  get correlationId(): string {
    return this.#message.correlationId;
  }

  get signal(): AbortSignal {
    return this.#message.signal;
  }

  now(): number {
    return this.#message.now();
  }

  persist(name: string, ...payload: readonly unknown[]): EventDraft {
    return this.#draft((draft) => draft.and(name, ...payload));
  }

  persistAll(events: readonly (readonly [name: string, payload?: unknown])[]): EventDraft {
    return this.#draft((draft) => draft.andAll(events));
  }

  reply(value: unknown): Decided {
    refusePromise(value);
    this.#assertOpen();
    return new Decided(undefined, () => value);
  }

  noReply(): Decided {
    this.#assertOpen();
    return new Decided(undefined, nothing);
  }

  tell(to: ActorRef<unknown, unknown> | CommandTarget, ...message: readonly unknown[]): void {
    this.#assertOpen();
    const { correlationId } = this;
    if ("persistenceId" in to) {
      const [name, ...command] = message;
      this.#outgoing.push(() => to.tell(name as string, givenOr({}, command), { correlationId }));
    } else this.#outgoing.push(() => this.#message.tell(to, message[0]));
  }

  /** The handler threw: returns what it refuses the command with, if all that it threw is that a payload cannot be stored. */
  abandon(thrown: unknown): PapyraError | undefined {
    this.#open = false;
    return thrown === this.#rejection ? this.#rejection : undefined;
  }

  /** What the handler returned, checked: the events it decided on must be those it handed back. */
  close(returned: unknown): Decided {
    this.#open = false;
    if (!(returned instanceof Decided)) {
      throw new PapyraError("OPTION_INVALID", "a command handler returned no decision", {
        hint: "return ctx.reply(...), ctx.noReply(), or ctx.persist(...).reply(...)",
      });
    }
    const unused = this.#drafts.filter((draft) => draft !== returned.draft);
    if (unused.length > 0 || (returned.draft !== undefined && !this.#drafts.includes(returned.draft))) {
      throw new PapyraError(
        "OPTION_INVALID",
        "a command handler named events that are not in the decision it returned",
        {
          hint: "chain them: return ctx.persist(...).and(...).reply(...)",
        },
      );
    }
    return returned;
  }

  /** The events are durable: lets the messages go. */
  send(): void {
    for (const send of this.#outgoing) send();
  }

  #draft(fill: (draft: EventDraft) => EventDraft): EventDraft {
    this.#assertOpen();
    const draft = new EventDraft(this.#definition, (error) => {
      this.#rejection = error;
    });
    this.#drafts.push(draft);
    return fill(draft);
  }

  #assertOpen(): void {
    if (this.#open) return;
    throw new PapyraError("OPTION_INVALID", "the context of a command was used after its handler had returned", {
      hint: "await what the handler has begun before it returns",
    });
  }
}
