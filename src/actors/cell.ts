// One actor: takes messages from its mailbox one at a time, gives them to its behaviour, asks supervision what to do about
// failures, and comes to its end in order: message in hand, children, `stopped`, dead letters. It promises that a message
// is either handled or a dead letter, and that each question settles once, also when the actor hangs and is given up.
import type { ActorSettings } from "./actor-options.ts";
import type { AuditedActor } from "./audit.ts";
import type { BehaviourFactory, StopOptions } from "./behaviour.ts";
import type { CellHost, CellSpec, Child, Parent } from "./cell-host.ts";
import type { Envelope } from "./context.ts";
import { caught, errorText } from "./caught.ts";
import { answer, failureOf, publishCrash } from "./crash.ts";
import type { FailurePhase, StopReason } from "./events.ts";
import { Incarnation, isThenable, type IncarnationOwner } from "./incarnation.ts";
import { Inbox, notRunning, type InboxOwner } from "./inbox.ts";
import { Ref } from "./ref.ts";
import type { Runnable } from "./scheduler.ts";
import { auditStateOf, hasCodeRunning, type Status } from "./status.ts";
import { stopRequested, Stopping, stopWithin, type StopRequest } from "./stopping.ts";
import { decide, type Decision } from "./supervision.ts";

const NO_HISTORY: readonly number[] = Object.freeze([]);

/** One actor. */
export class Cell implements InboxOwner, Runnable, Child, IncarnationOwner {
  readonly ref: Ref;
  readonly host: CellHost;
  readonly parent: Parent | undefined;
  readonly #settings: ActorSettings;
  readonly #factory: BehaviourFactory<unknown, unknown>;
  readonly #inbox: Inbox;
  #status: Status;
  #queued = false;
  #incarnation: Incarnation | undefined;
  #inHand: Envelope | undefined;
  #history = NO_HISTORY;
  #restarts = 0;
  #restartReason = "";
  #childFailure: Error | undefined;
  #cancelWait: (() => void) | undefined;
  #stopping: Stopping | undefined;

  constructor(host: CellHost, spec: CellSpec) {
    this.host = host;
    this.parent = spec.parent;
    this.#factory = spec.factory;
    this.#settings = spec.settings;
    this.#status = spec.held ? "waiting" : "new";
    this.#inbox = new Inbox(spec.address, host, this, spec.settings.mailboxMax);
    this.ref = new Ref(this.#inbox);
  }

  get stopped(): boolean {
    return this.#status === "stopped";
  }

  /** Whether it still takes messages. */
  get accepting(): boolean {
    return this.#stopping === undefined;
  }

  /** What an audit sees. */
  audited(): AuditedActor {
    const state = auditStateOf(this.#status, this.#stopping !== undefined, this.#restarts);
    return { address: this.ref.address, state, orphan: this.parent?.owner.stopped === true };
  }

  /** Starts, or starts again, what waits for that. */
  begin(): void {
    if (this.#status !== "waiting") return;
    this.#status = "new";
    this.#goOn();
  }

  /** Makes sure that there will be a turn. */
  wake(): void {
    if (this.#queued || (this.#status !== "ready" && this.#status !== "new")) return;
    this.#queued = true;
    this.host.scheduler.enqueue(this);
  }

  run(piecesMax: number): void {
    this.#queued = false;
    if (this.#status === "new" && (this.#stopping === undefined || this.#drains())) this.#start();
    for (let piece = 0; piece < piecesMax && this.#status === "ready"; piece++) {
      if (this.#stopping !== undefined && !this.#stopping.drain) break;
      const envelope = this.#inbox.take();
      if (envelope === undefined) break;
      this.#receive(envelope);
    }
    this.#goOn();
  }

  #drains(): boolean {
    return this.#stopping?.drain === true && this.#inbox.waiting > 0;
  }

  /** Does what is due when nothing is in hand: the next message, a failure of a child, the end. */
  #goOn(): void {
    if (this.stopped || hasCodeRunning(this.#status)) return;
    if (this.#stopping !== undefined) {
      if (this.#status !== "waiting" && this.#drains()) this.wake();
      else this.#close();
    } else if (this.#childFailure !== undefined && this.#status === "ready") {
      this.#failed(this.#childFailure, "child");
    } else if (this.#status === "new" || this.#inbox.waiting > 0) {
      this.wake();
    }
  }

  #start(): void {
    const incarnation = new Incarnation(this);
    this.#incarnation = incarnation;
    this.#status = "starting";
    try {
      const pending = incarnation.start(this.#factory);
      if (pending === undefined) this.#started();
      else {
        pending.then(
          () => this.#onTime(incarnation) && this.#started(),
          (thrown) => this.#onTime(incarnation) && this.#failed(thrown, "started"),
        );
      }
    } catch (thrown) {
      this.#failed(thrown, "started");
    }
  }

  #started(): void {
    const { address } = this.ref;
    if (this.#restarts === 0) this.host.publish({ type: "ActorStarted", address });
    else this.host.publish({ type: "ActorRestarted", address, reason: this.#restartReason, restarts: this.#restarts });
    this.#settle();
  }

  #receive(envelope: Envelope): void {
    const incarnation = this.#incarnation as Incarnation;
    this.#status = "busy";
    this.#inHand = envelope;
    this.host.counters.messagesHandled += 1;
    let reply: unknown;
    try {
      reply = incarnation.receive(envelope);
      if (isThenable(reply)) {
        Promise.resolve(reply).then(
          (value) => {
            if (!this.#onTime(incarnation)) return;
            this.#handled(envelope, value);
            this.#goOn();
          },
          (thrown) => this.#onTime(incarnation) && this.#failed(thrown, "receive"),
        );
        return;
      }
    } catch (thrown) {
      this.#failed(thrown, "receive");
      return;
    }
    this.#handled(envelope, reply);
  }

  #handled(envelope: Envelope, reply: unknown): void {
    this.#inHand = undefined;
    this.#status = "ready";
    answer(this.host, this.ref.address, envelope, reply);
  }

  /** Whether the actor has not been given up meanwhile; if it has, this was the last that was heard of it. */
  #onTime(incarnation: Incarnation | undefined): boolean {
    if (this.#status !== "stopped" && incarnation === this.#incarnation) return true;
    this.host.forget(this);
    return false;
  }

  // --- failure ------------------------------------------------------------------------------------------------------

  childFailed(error: Error): void {
    this.#childFailure ??= error;
    this.#goOn();
  }

  #failed(thrown: unknown, phase: FailurePhase): void {
    const error = caught(thrown);
    const envelope = this.#inHand;
    this.#inHand = undefined;
    this.#childFailure = undefined;
    this.#status = "busy"; // whoever hears of the crash may stop the actor, which must then wait for the rest of this
    envelope?.ask?.fail(failureOf(this.ref.address, error, thrown));
    const nowMs = this.host.clock.monotonicMs();
    const decision = decide({ error, phase }, this.#history, this.#settings.supervision, nowMs);
    const why = this.#stopping === undefined ? decision.reason : "none: it was stopping";
    publishCrash(this.host, this.ref.address, { error, phase, decision: why, envelope });
    if (this.#stopping === undefined) this.#answer(decision, error);
    else {
      this.#stopping.drain = false;
      this.#settle();
    }
  }

  #answer(decision: Decision, error: Error): void {
    this.#history = decision.history;
    if (decision.directive === "resume") this.#settle();
    else if (decision.directive === "restart") this.#restart(decision.delayMs, error);
    else {
      this.#status = "ready";
      const failure = failureOf(this.ref.address, error, error);
      this.#inbox.cause = failure;
      void this.requestStop(this.#stopRequest("failed"));
      if (decision.directive !== "escalate") return;
      if (this.parent === undefined) this.host.problem(failure);
      else this.parent.owner.childFailed(failure);
    }
  }

  /** Nothing is in hand any more. */
  #settle(): void {
    this.#status = "ready";
    this.#goOn();
  }

  #restart(delayMs: number, error: Error): void {
    const incarnation = this.#incarnation as Incarnation;
    this.#status = "ending";
    this.#restarts += 1;
    this.#restartReason = errorText(error);
    const pending = incarnation.end("restarting", this.#stopRequest("parent stopped"));
    if (pending === undefined) this.#again(delayMs);
    else void pending.then(() => this.#onTime(incarnation) && this.#again(delayMs));
  }

  #again(delayMs: number): void {
    this.#incarnation = undefined;
    this.#childFailure = undefined;
    this.#status = "waiting";
    if (delayMs === 0 || this.#stopping !== undefined) this.begin();
    else this.#cancelWait = this.host.clock.after(delayMs, () => this.begin(), "foreground");
  }

  // --- end ----------------------------------------------------------------------------------------------------------

  stop(options: StopOptions | undefined): Promise<void> {
    return this.requestStop(stopRequested(options, this.#settings.stopTimeoutMs, this.host.clock.monotonicMs()));
  }

  #stopRequest(reason: StopReason): StopRequest {
    return stopWithin(this.#settings.stopTimeoutMs, this.host.clock.monotonicMs(), reason, false);
  }

  requestStop(request: StopRequest): Promise<void> {
    this.#inbox.close(this.stopped ? "actor stopped" : "actor stopping");
    if (this.#stopping === undefined) this.#stopping = new Stopping(request);
    else this.#stopping.hasten(request);
    const { done } = this.#stopping;
    if (!this.stopped) this.#hasten();
    if (this.stopped) return done;
    const onDrainOver = (): void => this.#hasten();
    this.#stopping.watch(this.host.clock, onDrainOver, () => this.giveUp());
    return done;
  }

  /** Goes on towards the end; without waiting messages to handle, whatever is under way need not go on. */
  #hasten(): void {
    if (this.#stopping?.drain === false) this.#incarnation?.abort();
    this.#goOn();
  }

  #close(): void {
    const { reason, drain, drainUntilMs, giveUpAtMs } = this.#stopping as Stopping;
    this.#cancelWait?.();
    this.#status = "closing";
    const incarnation = this.#incarnation;
    const ofChildren: StopReason = reason === "system stopped" ? reason : "parent stopped";
    const pending = incarnation?.end(reason, { reason: ofChildren, drain, drainUntilMs, giveUpAtMs });
    if (pending === undefined) this.#end(reason);
    else void pending.then(() => this.#onTime(incarnation) && this.#end(reason));
  }

  giveUp(): void {
    if (this.stopped) return;
    this.#stopping ??= new Stopping(this.#stopRequest("given up"));
    // Whatever hangs is still there and may come back: until then nobody else gets its name.
    const hangs = hasCodeRunning(this.#status);
    this.#cancelWait?.();
    const told = this.#incarnation?.giveUp(stopWithin(0, this.host.clock.monotonicMs(), "parent stopped", false));
    this.#inHand?.ask?.fail(told ?? notRunning(this.ref.address, "hung while it was to stop, and was given up"));
    this.#end("given up", !hangs);
    this.host.problem(notRunning(this.ref.address, "did not stop in time and was given up"));
  }

  #end(reason: StopReason, gone = true): void {
    this.#status = "stopped";
    this.#incarnation = undefined;
    this.#inHand = undefined;
    this.#inbox.close("actor stopped");
    this.#inbox.bury();
    if (gone) this.host.forget(this);
    this.parent?.release(this);
    this.host.publish({ type: "ActorStopped", address: this.ref.address, reason });
    this.#stopping?.finish();
  }
}
