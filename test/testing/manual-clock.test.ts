// The clock that the simulations run on: it must never move or fire by itself.
import { expect, it } from "vitest";
import { ManualClock } from "../../src/testing/manual-clock.ts";

it("fires timers in the order of their due times, at exactly these times", () => {
  const clock = new ManualClock(1000, 50);
  const fired: string[] = [];
  const note = (name: string) => (): void => void fired.push(`${name} ${clock.nowMs()} ${clock.monotonicMs()}`);
  clock.after(20, note("late"), "foreground");
  clock.after(10, note("early"), "background");
  clock.after(10, note("same"), "background");
  const cancel = clock.after(5, note("cancelled"), "foreground");
  cancel();
  clock.after(5, () => clock.after(3, note("nested"), "foreground"), "foreground");
  clock.after(-5, note("overdue"), "foreground");
  expect([fired, clock.waiting]).toEqual([[], 5]);
  clock.advance(0);
  clock.advance(15);
  expect(fired).toEqual(["overdue 1000 50", "nested 1008 58", "early 1010 60", "same 1010 60"]);
  expect([clock.nowMs(), clock.monotonicMs(), clock.waiting]).toEqual([1015, 65, 1]);
  clock.advance(5);
  expect(fired.at(-1)).toBe("late 1020 70");
  expect(clock.waiting).toBe(0);
});

it("jumps the wall clock without firing anything, also backwards", () => {
  const clock = new ManualClock(1000);
  let fired = 0;
  clock.after(10, () => fired++, "foreground");
  clock.set(999_999);
  clock.set(5);
  expect([clock.nowMs(), clock.monotonicMs(), fired]).toEqual([5, 0, 0]);
  clock.advance(10);
  expect([clock.nowMs(), clock.monotonicMs(), fired]).toEqual([15, 10, 1]);
  expect(() => clock.advance(-1)).toThrow(RangeError);
});

it("survives a timer that advances the clock itself", () => {
  const clock = new ManualClock(0);
  const fired: number[] = [];
  clock.after(1, () => clock.advance(50), "foreground");
  clock.after(20, () => fired.push(clock.monotonicMs()), "foreground");
  clock.advance(10);
  expect([fired, clock.monotonicMs()]).toEqual([[20], 51]);
});
