// What an actor is given besides its message. A context belongs to one message of one incarnation and stays true to it:
// kept for longer, it still names that message, and its signal is aborted once that incarnation has ended.
import type { SpawnOptions } from "./actor-options.ts";
import type { PendingAsk } from "./asks.ts";
import type {
  ActorRef,
  AskOptions,
  BehaviourFactory,
  MessageContext,
  RunningSystem,
  StopOptions,
} from "./behaviour.ts";
import { Ref, type Chain } from "./ref.ts";

/** A message on its way. */
export class Envelope {
  readonly message: unknown;
  readonly id: number;
  readonly chain: Chain;
  readonly ask: PendingAsk | undefined;

  constructor(message: unknown, id: number, chain: Chain, ask: PendingAsk | undefined) {
    this.message = message;
    this.id = id;
    this.chain = chain;
    this.ask = ask;
  }
}

/** What a context needs: one incarnation of an actor. */
export interface ContextOwner {
  readonly ref: Ref;
  readonly system: RunningSystem;
  readonly signal: AbortSignal;
  nowMs(): number;
  /** A message number, or an id from outside, as users see it. */
  idOf(chain: Chain): string;
  spawn(name: string, factory: BehaviourFactory<unknown, unknown>, options: SpawnOptions | undefined): Ref;
  stop(options: StopOptions | undefined): void;
}

/** The one implementation of {@link MessageContext}, and, without an envelope, of what the hooks are given. */
export class Context implements MessageContext<unknown> {
  readonly #owner: ContextOwner;
  readonly #envelope: Envelope | undefined;

  constructor(owner: ContextOwner, envelope: Envelope | undefined) {
    this.#owner = owner;
    this.#envelope = envelope;
  }

  get self(): ActorRef<unknown, unknown> {
    return this.#owner.ref;
  }

  get address(): string {
    return this.#owner.ref.address;
  }

  get system(): RunningSystem {
    return this.#owner.system;
  }

  get signal(): AbortSignal {
    return this.#owner.signal;
  }

  get messageId(): string {
    return this.#envelope === undefined ? "" : this.#owner.idOf(this.#envelope.id);
  }

  get correlationId(): string {
    return this.#envelope === undefined ? "" : this.#owner.idOf(this.#envelope.chain);
  }

  now(): number {
    return this.#owner.nowMs();
  }

  spawn<M, R>(name: string, factory: BehaviourFactory<M, R>, options?: SpawnOptions): ActorRef<M, Awaited<R>> {
    return Ref.typed<M, Awaited<R>>(this.#owner.spawn(name, erased(factory), options));
  }

  tell<M>(to: ActorRef<M, unknown>, message: NoInfer<M>): void {
    if (this.#envelope === undefined) to.tell(message);
    else if (to instanceof Ref) to.tellInChain(message, this.#envelope.chain);
    else to.tell(message, { correlationId: this.correlationId });
  }

  ask<M, R>(to: ActorRef<M, R>, message: NoInfer<M>, options?: AskOptions): Promise<R> {
    if (this.#envelope === undefined || options?.correlationId !== undefined) return to.ask(message, options);
    return to.ask(message, { ...options, correlationId: this.correlationId });
  }

  stop(options?: StopOptions): void {
    this.#owner.stop(options);
  }
}

/** The types of messages and replies exist for the compiler only: inside, all of them are unknown. */
export function erased<M, R>(factory: BehaviourFactory<M, R>): BehaviourFactory<unknown, unknown> {
  return factory as unknown as BehaviourFactory<unknown, unknown>;
}
