// The retention of backups, naively: each rule by itself, over lists.
import type { Keepable, KeepPolicy } from "../../src/backup/keep.ts";

const DAY_MS = 86_400_000;

/** The ISO week of a time, as the standard says it: the one of the Thursday of its week, counted from that year's first. */
function isoWeek(ms: number): string {
  const day = new Date(ms);
  const weekday = (day.getUTCDay() + 6) % 7;
  const thursday = new Date(Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate() - weekday + 3));
  const year = thursday.getUTCFullYear();
  return `${year}-W${1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS))}`;
}

function periods(ms: number): Record<"hourly" | "daily" | "weekly" | "monthly" | "yearly", string> {
  const at = new Date(ms);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  return {
    hourly: [year, month, day, at.getUTCHours()].join("-"),
    daily: [year, month, day].join("-"),
    weekly: isoWeek(ms),
    monthly: [year, month].join("-"),
    yearly: String(year),
  };
}

/** The ids that stay; `backups` in the order of their instants. */
export function keptByModel(backups: readonly Keepable[], policy: KeepPolicy, nowMs: number): string[] {
  const kept = new Set(backups.filter(({ pinned }) => pinned));
  const good = backups.filter((one) => one.good);
  for (let i = 0; i < (policy.last ?? 0) && i < good.length; i++) kept.add(good[good.length - 1 - i] as Keepable);
  for (const one of good) if (policy.withinMs !== undefined && one.instantMs >= nowMs - policy.withinMs) kept.add(one);
  for (const rule of ["hourly", "daily", "weekly", "monthly", "yearly"] as const) {
    const newest = new Map<string, Keepable>(); // a later one of the same period takes the place of an earlier one
    for (const one of good) {
      const period = periods(one.instantMs)[rule];
      newest.delete(period);
      newest.set(period, one);
    }
    const count = policy[rule] ?? 0;
    for (const one of count === 0 ? [] : [...newest.values()].slice(-count)) kept.add(one);
  }
  const enough = Math.min(Math.max(1, policy.minGood ?? 1), good.length);
  for (let i = good.length - 1; [...kept].filter((one) => one.good).length < enough; i--) kept.add(good[i] as Keepable);
  for (let i = backups.length - 1; i >= 0 && backups[i]?.good === false; i--) kept.add(backups[i] as Keepable);
  return backups.filter((one) => kept.has(one)).map(({ id }) => id);
}
