// What supervision decides, as tables.
import { describe, expect, test } from "vitest";
import { decide, resolvePolicy, type Failure, type SupervisionOptions } from "../../src/actors/supervision.ts";
import { codeThrown } from "./world.ts";

const failure: Failure = { error: new Error("broken"), phase: "receive" };
const decideBy = (options: SupervisionOptions, history: readonly number[] = [], nowMs = 10_000, of = failure) =>
  decide(of, history, resolvePolicy(options), nowMs);

describe("directives", () => {
  test.each(["restart", "resume", "stop", "escalate"] as const)("%s", (onFailure) => {
    expect(decideBy({ onFailure })).toMatchObject({ directive: onFailure, reason: onFailure, delayMs: 0 });
    expect(decideBy({ onFailure: () => onFailure }).directive).toBe(onFailure);
  });

  test("a function sees the failure", () => {
    const onFailure = ({ error, phase }: Failure) =>
      error.message === "broken" && phase === "receive" ? ("resume" as const) : ("stop" as const);
    expect(decideBy({ onFailure }).directive).toBe("resume");
    expect(decideBy({ onFailure }, [], 0, { ...failure, phase: "child" }).directive).toBe("stop");
  });

  test("a function that fails, or says something else, stops the actor", () => {
    const failing = decideBy({
      onFailure: () => {
        throw new Error("me too");
      },
    });
    expect(failing.directive).toBe("stop");
    expect(failing.reason).toContain("me too");
    expect(decideBy({ onFailure: () => "explode" as "stop" }).directive).toBe("stop");
  });

  test("what has not started cannot be resumed: it is tried again, within the limit", () => {
    const notStarted: Failure = { ...failure, phase: "started" };
    expect(decideBy({ onFailure: "resume" }, [], 0, notStarted).directive).toBe("restart");
    expect(decideBy({ onFailure: "resume" }, [9998, 9999, 9999], 10_000, notStarted).directive).toBe("stop");
  });
});

describe("the limit of restarts", () => {
  test.each<[history: number[], nowMs: number, directive: string, left: number[]]>([
    [[], 0, "restart", [0]],
    [[1, 2], 3, "restart", [1, 2, 3]],
    [[1, 2, 3], 4, "stop", [1, 2, 3]],
    [[1, 2, 3], 5000, "stop", [1, 2, 3]],
    [[1, 2, 3], 5001, "restart", [2, 3, 5001]],
    [[1, 2, 3], 9000, "restart", [9000]],
  ])("3 within 5 s: %j at %d: %s", (history, nowMs, directive, left) => {
    expect(decideBy({}, history, nowMs)).toMatchObject({ directive, history: left });
  });

  test("none at all", () => {
    expect(decideBy({ restartsMax: 0 })).toMatchObject({ directive: "stop" });
  });

  test("escalates when told to, and says why", () => {
    const decision = decideBy({ restartsMax: 1, withinMs: 100, whenExhausted: "escalate" }, [9999]);
    expect(decision.directive).toBe("escalate");
    expect(decision.reason).toBe("escalate: more than 1 restarts within 100 ms");
  });

  test("the wait doubles with each restart in the window, up to its limit", () => {
    const options = { backoffMs: 100, backoffMsMax: 350, restartsMax: 10 };
    const waits = [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]].map((history) => decideBy(options, history, 5).delayMs);
    expect(waits).toEqual([100, 200, 350, 350, 350]);
    expect(decideBy({ backoffMs: 60_000 }).delayMs).toBe(60_000);
  });
});

describe("options", () => {
  test.each<SupervisionOptions>([
    { restartsMax: -1 },
    { restartsMax: 0.5 },
    { withinMs: 0 },
    { backoffMs: Number.NaN },
    { onFailure: "reboot" as "stop" },
    { whenExhausted: "restart" as "stop" },
    { restartMax: 3 } as SupervisionOptions,
  ])("%j is refused", (options) => {
    expect(codeThrown(() => resolvePolicy(options))).toBe("OPTION_INVALID");
  });

  test("what is left out comes from the defaults", () => {
    const system = resolvePolicy({ restartsMax: 7, onFailure: "resume" });
    expect(resolvePolicy({ withinMs: 1 }, system)).toMatchObject({ restartsMax: 7, onFailure: "resume", withinMs: 1 });
  });
});
