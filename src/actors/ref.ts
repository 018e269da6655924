// The handle to an actor that users hold. It is the only way to an actor from outside, and outlives it.
import type { ActorRef, AskOptions, StopOptions, TellOptions } from "./behaviour.ts";

/** The first message of a chain of messages: its number, or an id that somebody outside gave to it. */
export type Chain = number | string;

/** What is behind a handle. */
export interface Target {
  readonly address: string;
  /** Never throws. */
  tell(message: unknown, chain: Chain | undefined): void;
  ask(message: unknown, chain: Chain | undefined, options: AskOptions | undefined): Promise<unknown>;
  stop(options: StopOptions | undefined): Promise<void>;
}

/** The one implementation of {@link ActorRef}. */
export class Ref implements ActorRef<unknown, unknown> {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  get address(): string {
    return this.#target.address;
  }

  tell(message: unknown, options?: TellOptions): void {
    this.#target.tell(message, options?.correlationId);
  }

  ask(message: unknown, options?: AskOptions): Promise<unknown> {
    return this.#target.ask(message, options?.correlationId, options);
  }

  async stop(options?: StopOptions): Promise<void> {
    await this.#target.stop(options);
  }

  /** Sends as part of a chain of messages. */
  tellInChain(message: unknown, chain: Chain): void {
    this.#target.tell(message, chain);
  }

  /** The same handle with the types that the actor's behaviour gives it. */
  static typed<M, R>(ref: Ref): ActorRef<M, R> {
    return ref as unknown as ActorRef<M, R>;
  }
}
