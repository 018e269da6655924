// The way into an actor: gives messages their ids, puts them into the mailbox, and turns away what cannot be taken, as a
// dead letter or as the answer to the asker. What is taken is handed out once, or buried once.
import { PapyraError } from "../errors.ts";
import { refuseUnknown } from "../options.ts";
import { timeoutMs } from "./actor-options.ts";
import { PendingAsk } from "./asks.ts";
import type { AskOptions, StopOptions } from "./behaviour.ts";
import type { CellHost } from "./cell-host.ts";
import { Envelope } from "./context.ts";
import { Mailbox } from "./mailbox.ts";
import type { Chain, Target } from "./ref.ts";

/** Who takes the messages out. */
export interface InboxOwner {
  /** There is a message. */
  wake(): void;
  stop(options: StopOptions | undefined): Promise<void>;
}

const ASK_KEYS = ["timeoutMs", "signal", "correlationId"] as const satisfies readonly (keyof AskOptions)[];

/** The error of a message to an actor that does not take it. */
export function notRunning(address: string, what: string, cause?: Error): PapyraError {
  return new PapyraError("ACTOR_STOPPED", `${address} ${what}`, { details: { address }, ...(cause && { cause }) });
}

/** The way into one actor. */
export class Inbox implements Target {
  readonly address: string;
  readonly #host: CellHost;
  readonly #owner: InboxOwner;
  readonly #mailbox: Mailbox<Envelope>;
  /** Why messages are turned away, once they are. */
  #closed: string | undefined;
  /** The failure that ended the actor, if one did: what those who ask it are told. */
  cause: Error | undefined;

  constructor(address: string, host: CellHost, owner: InboxOwner, mailboxMax: number) {
    this.address = address;
    this.#host = host;
    this.#owner = owner;
    this.#mailbox = new Mailbox(mailboxMax);
  }

  /** How many messages wait. */
  get waiting(): number {
    return this.#mailbox.length;
  }

  tell(message: unknown, chain: Chain | undefined): void {
    const id = this.#host.nextId();
    this.#deliver(new Envelope(message, id, chain ?? id, undefined));
  }

  ask(message: unknown, chain: Chain | undefined, options: AskOptions | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (options !== undefined) refuseUnknown("ask", options, ASK_KEYS);
      const line = this.#host.asks.line(timeoutMs("timeoutMs", options?.timeoutMs, this.#host.askTimeoutMs));
      const ask = new PendingAsk(line, this.address, resolve, reject);
      this.#host.counters.asks += 1;
      if (options?.signal !== undefined) ask.watch(options.signal);
      if (ask.settled) return; // aborted before it was sent
      const id = this.#host.nextId();
      this.#deliver(new Envelope(message, id, chain ?? id, ask));
      this.#host.scheduler.wake(); // sees to the time-out, also when the actor is busy
    });
  }

  stop(options: StopOptions | undefined): Promise<void> {
    return this.#owner.stop(options);
  }

  /** The next message, or undefined. */
  take(): Envelope | undefined {
    return this.#mailbox.shift();
  }

  /** Takes no more messages from now on. */
  close(why: string): void {
    this.#closed = why;
  }

  /** What still waits will not be handled. */
  bury(): void {
    for (let left = this.#mailbox.shift(); left !== undefined; left = this.#mailbox.shift()) this.#turnAway(left);
  }

  #deliver(envelope: Envelope): void {
    if (this.#closed !== undefined) this.#turnAway(envelope);
    else if (this.#mailbox.push(envelope)) this.#owner.wake();
    else if (envelope.ask === undefined) this.#host.deadLetter(this.address, envelope.message, "mailbox full");
    else {
      const { address } = this;
      const what = `${address} has ${this.#mailbox.length} waiting messages, as many as it may`;
      envelope.ask.fail(new PapyraError("MAILBOX_FULL", what, { details: { address } }));
    }
  }

  #turnAway(envelope: Envelope): void {
    this.#host.deadLetter(this.address, envelope.message, this.#closed ?? "actor stopped");
    envelope.ask?.fail(notRunning(this.address, "is not running", this.cause));
  }
}
