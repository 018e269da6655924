// One life of an actor, from its factory to its `stopped` hook: the behaviour, its children and its signal. A restart ends
// one incarnation and begins another. It calls the user's code; what failures mean is the cell's to say.
import { PapyraError } from "../errors.ts";
import type { SpawnOptions } from "./actor-options.ts";
import type { Behaviour, BehaviourFactory, RunningSystem, StopOptions } from "./behaviour.ts";
import type { StopReason } from "./events.ts";
import { caught } from "./caught.ts";
import type { Child, CellHost } from "./cell-host.ts";
import { Context, type ContextOwner, type Envelope } from "./context.ts";
import { publishCrash } from "./crash.ts";
import { notRunning } from "./inbox.ts";
import type { Chain, Ref } from "./ref.ts";
import type { StopRequest } from "./stopping.ts";

/** An actor, as its incarnation sees it. */
export interface IncarnationOwner {
  readonly ref: Ref;
  readonly host: CellHost;
  readonly accepting: boolean;
  readonly stopped: boolean;
  stop(options: StopOptions | undefined): Promise<void>;
  /** A child failed and leaves it to its parent. */
  childFailed(error: Error): void;
}

/**
 * A method of a behaviour of our own, called when its incarnation is given up: nothing that it does from then on may be
 * seen. Returns what the asker of the message in hand is told, if it is more than that the actor has stopped.
 */
export const GIVEN_UP = Symbol("given up");

interface GivenUp {
  readonly [GIVEN_UP]?: () => Error | undefined;
}

/** Whether a value must be awaited. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** One life of an actor. */
export class Incarnation implements ContextOwner {
  readonly owner: IncarnationOwner;
  #behaviour: Behaviour<unknown, unknown> | undefined;
  #children: Set<Child> | undefined;
  #controller: AbortController | undefined;
  #aborted = false;
  #ended = false;

  constructor(owner: IncarnationOwner) {
    this.owner = owner;
  }

  get ref(): Ref {
    return this.owner.ref;
  }

  get system(): RunningSystem {
    return this.owner.host.system;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  nowMs(): number {
    return this.owner.host.clock.nowMs();
  }

  idOf(chain: Chain): string {
    return this.owner.host.idOf(chain);
  }

  /** Makes the behaviour and calls `started`. What either throws comes back as an exception or a rejection. */
  start(factory: BehaviourFactory<unknown, unknown>): void | Promise<void> {
    const behaviour = factory();
    if (typeof behaviour?.receive !== "function") {
      throw new PapyraError("OPTION_INVALID", `the factory of ${this.ref.address} made no object with \`receive\``);
    }
    const pending = behaviour.started?.(new Context(this, undefined));
    if (!isThenable(pending)) {
      this.#behaviour = behaviour;
      return;
    }
    return Promise.resolve(pending).then(() => {
      this.#behaviour = behaviour;
    });
  }

  /** Gives a message to the behaviour; only after `start`. */
  receive(envelope: Envelope): unknown {
    return this.#behaviour?.receive(envelope.message, new Context(this, envelope));
  }

  spawn(name: string, factory: BehaviourFactory<unknown, unknown>, options: SpawnOptions | undefined): Ref {
    if (this.#ended || !this.owner.accepting) {
      throw notRunning(this.ref.address, "has come to its end and can have no more children");
    }
    const child = this.owner.host.spawn(this, name, factory, options);
    this.#children ??= new Set();
    this.#children.add(child);
    return child.ref;
  }

  /** A child is no longer there. */
  release(child: Child): void {
    this.#children?.delete(child);
  }

  stop(options: StopOptions | undefined): void {
    // The end comes after the message in hand, so nobody could wait for it here; the promise never rejects.
    void this.owner.stop(options);
  }

  /** Tells the behaviour, through its signal, that it need not go on. */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }

  /** Stops the children, last one first, then calls `stopped` if `started` went well. Never rejects. */
  end(reason: StopReason, childrenStop: StopRequest): void | Promise<void> {
    this.abort();
    this.#ended = true;
    if (this.#children === undefined || this.#children.size === 0) return this.#callStopped(reason);
    return this.#stopChildren(childrenStop).then(() => this.#callStopped(reason));
  }

  /**
   * Ends without waiting for anything or calling `stopped`: something hangs. Children that can stop at once do so in good
   * order, the others are given up as well. Returns what its behaviour has to say to the asker of the message in hand.
   */
  giveUp(atOnce: StopRequest): Error | undefined {
    this.abort();
    this.#ended = true;
    const told = (this.#behaviour as GivenUp | undefined)?.[GIVEN_UP]?.();
    this.#behaviour = undefined;
    for (const child of this.#lastFirst()) {
      void child.requestStop(atOnce);
      child.giveUp();
    }
    return told;
  }

  #lastFirst(): Child[] {
    return [...(this.#children ?? [])].reverse();
  }

  async #stopChildren(request: StopRequest): Promise<void> {
    for (const child of this.#lastFirst()) await child.requestStop(request);
  }

  #callStopped(reason: StopReason): void | Promise<void> {
    const behaviour = this.#behaviour;
    this.#behaviour = undefined;
    try {
      const pending = behaviour?.stopped?.(new Context(this, undefined), reason);
      if (!isThenable(pending)) return;
      return Promise.resolve(pending).then(undefined, (thrown) => this.#stoppedFailed(thrown));
    } catch (thrown) {
      this.#stoppedFailed(thrown);
    }
  }

  /** An actor that stops is not kept alive by failing at it. */
  #stoppedFailed(thrown: unknown): void {
    const crash = { error: caught(thrown), phase: "stopped", decision: "none: it was at its end" } as const;
    publishCrash(this.owner.host, this.ref.address, crash);
  }
}
