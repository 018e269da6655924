// What a user of the actors writes and holds: behaviours, references, contexts. Types only. Nobody writes a type argument:
// the message type comes from the annotation of `receive`, the type of a reply from what it returns.
import type { ActorEvent, StopReason } from "./events.ts";
import type { SpawnOptions } from "./actor-options.ts";

/**
 * What an actor does. One message at a time: the next one waits until `receive` has returned, or the promise it returned
 * has settled.
 */
export interface Behaviour<M, R> {
  /**
   * Runs once for each incarnation, before its first message. Messages wait meanwhile. If it throws, supervision decides,
   * and `stopped` is not called. To send to oneself here, annotate: `started(ctx: ActorContext<Message>) {}`.
   */
  started?(ctx: ActorContext): void | Promise<void>;
  /** Handles a message. What it returns, or resolves with, is the reply of an `ask`; a `tell` ignores it. */
  receive: (message: M, ctx: MessageContext<M>) => R;
  /** Runs once for each incarnation that has started, after its children stopped and before another one is made. */
  stopped?(ctx: ActorContext, reason: StopReason): void | Promise<void>;
}

/** Makes the behaviour of one incarnation: called at the start and again at each restart, so that state begins afresh. */
export type BehaviourFactory<M, R> = () => Behaviour<M, R>;

/** How long an actor may take to stop, and what becomes of the messages that still wait in its mailbox. */
export interface StopOptions {
  /** Milliseconds, 1 to 2,147,483,647, after which a hanging actor is given up. Default: `stopTimeoutMs` of the actor. */
  readonly timeoutMs?: number;
  /** "drain" handles waiting messages first, "dead-letters" does not. Default: "dead-letters", of a whole system "drain". */
  readonly mailbox?: "drain" | "dead-letters";
}

/** What may accompany a message. */
export interface TellOptions {
  /** Joins this message to a chain of messages, as of a request from outside. Default: the message begins a new chain. */
  readonly correlationId?: string;
}

/** What may accompany a question. */
export interface AskOptions extends TellOptions {
  /** Milliseconds to wait for the reply, 1 to 2,147,483,647. Default: `askTimeoutMs` of the system. */
  readonly timeoutMs?: number;
  /** Gives up waiting when aborted. A message that was sent is not taken back; with an aborted signal, none is sent. */
  readonly signal?: AbortSignal;
}

/**
 * A handle to an actor, valid for as long as you keep it: through restarts, and, as a way into the dead letters, after
 * the actor has stopped. Messages that one sender sends to one actor are handled in the order in which they were sent.
 */
export interface ActorRef<M, R> {
  /** `<system id>://<path>`, each name percent-encoded. */
  readonly address: string;
  /** Sends and forgets. Never throws: what cannot be delivered becomes a dead letter. */
  readonly tell: (message: M, options?: TellOptions) => void;
  /**
   * Sends, and resolves with what `receive` returned. Rejects with ASK_TIMEOUT, ASK_ABORTED, MAILBOX_FULL, ACTOR_STOPPED
   * (also a dead letter), or ACTOR_FAILED with the cause when the actor threw.
   */
  readonly ask: (message: M, options?: AskOptions) => Promise<R>;
  /**
   * Lets the actor finish the message in hand, stops its children and then it, and resolves when that is done or the actor
   * was given up. An actor stops itself with `ctx.stop()`; waiting for its own end would never end.
   */
  readonly stop: (options?: StopOptions) => Promise<void>;
}

/** What an actor may use at any time of its life. */
export interface ActorContext<M = never> {
  readonly self: ActorRef<M, unknown>;
  readonly address: string;
  readonly system: RunningSystem;
  /** Aborted when this incarnation comes to its end: when its stop begins, or it is restarted. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch, by the clock of the system. */
  now(): number;
  /** Starts a child: it stops before its parent. Rejects with NAME_TAKEN, and with ACTOR_STOPPED once the parent stops. */
  spawn<CM, CR>(name: string, factory: BehaviourFactory<CM, CR>, options?: SpawnOptions): ActorRef<CM, Awaited<CR>>;
  /** Sends on behalf of this actor: in `receive`, the message joins the chain of the message in hand. */
  tell<TM>(to: ActorRef<TM, unknown>, message: NoInfer<TM>): void;
  /** Asks on behalf of this actor: in `receive`, the message joins the chain of the message in hand. */
  ask<TM, TR>(to: ActorRef<TM, TR>, message: NoInfer<TM>, options?: AskOptions): Promise<TR>;
  /** Stops this actor as soon as the message in hand is done. */
  stop(options?: StopOptions): void;
}

/** What an actor may use while it handles a message. */
export interface MessageContext<M = never> extends ActorContext<M> {
  /** Names this message; unique over systems and their restarts. */
  readonly messageId: string;
  /** Names the message that began the chain which led here. */
  readonly correlationId: string;
}

/** What an actor sees of the system it lives in. */
export interface RunningSystem {
  readonly systemId: string;
  /** Starts an actor without a parent. Rejects with NAME_TAKEN, SYSTEM_STOPPED, OPTION_INVALID. */
  spawn<M, R>(name: string, factory: BehaviourFactory<M, R>, options?: SpawnOptions): ActorRef<M, Awaited<R>>;
  /** Calls `listener` with everything that happens from now on, until the returned function is called. */
  subscribe(listener: (event: ActorEvent) => void): () => void;
}
