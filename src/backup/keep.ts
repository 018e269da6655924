// Which backups a policy keeps, and why. Pure. As in other tools: of each of the last n hours, days, weeks, months or years that
// have a good backup, the newest one is kept. Periods are those of UTC; weeks are ISO weeks, from Monday on.
import { PapyraError } from "../errors.ts";
import { refuseUnknown, wholeNumber } from "../options.ts";

/** Counts from 0; what is not named keeps nothing. */
export interface KeepPolicy {
  readonly last?: number | undefined;
  readonly hourly?: number | undefined;
  readonly daily?: number | undefined;
  readonly weekly?: number | undefined;
  readonly monthly?: number | undefined;
  readonly yearly?: number | undefined;
  /** Everything that is not older, in milliseconds. */
  readonly withinMs?: number | undefined;
  /** Never fewer good ones than this stay, whatever else is said. From 1; default 1. */
  readonly minGood?: number | undefined;
}

/** What a policy looks at. */
export interface Keepable {
  readonly id: string;
  readonly instantMs: number;
  readonly good: boolean;
  readonly pinned: boolean;
  /** Nobody knows: it is kept as if it were. */
  readonly maybePinned?: boolean;
}

const KNOWN = ["last", "hourly", "daily", "weekly", "monthly", "yearly", "withinMs", "minGood"];
/** Why a backup stays of which nobody knows any more whether it is pinned. */
export const MAYBE_PINNED = "what is lost of the catalog may have pinned it";
const DAY_MS = 86_400_000;

/** The period that a time is in, by name. */
const PERIODS = {
  hourly: (at: Date) => at.toISOString().slice(0, 13),
  daily: (at: Date) => at.toISOString().slice(0, 10),
  weekly: (at: Date) => String(Math.floor((at.getTime() / DAY_MS + 3) / 7)), // 1970-01-01 was a Thursday
  monthly: (at: Date) => at.toISOString().slice(0, 7),
  yearly: (at: Date) => at.toISOString().slice(0, 4),
} as const;

/** Rejects with OPTION_INVALID for a policy that keeps nothing, and for what is no whole number from 0 on. */
export function assertKeeps(policy: KeepPolicy): void {
  refuseUnknown("`keep`", policy, KNOWN);
  for (const [rule, value] of Object.entries(policy)) wholeNumber(`keep.${rule}`, value, 0, 0, Number.MAX_SAFE_INTEGER);
  const { minGood: _, ...rules } = policy;
  if (Object.values(rules).some((value) => value !== undefined && value > 0)) return;
  throw new PapyraError("OPTION_INVALID", "the policy keeps nothing: every backup would go", {
    hint: "say what stays, for example --keep-daily 7 --keep-weekly 4 --keep-monthly 12",
  });
}

/**
 * The ids that stay, each with the reasons. `backups` the oldest first. Damaged ones never count: one
 * stays only while no good one is newer, or when it is pinned.
 */
export function chooseKept(backups: readonly Keepable[], policy: KeepPolicy, nowMs: number): Map<string, string[]> {
  assertKeeps(policy);
  const kept = new Map<string, string[]>();
  const keep = (id: string, why: string): void => void kept.set(id, [...(kept.get(id) ?? []), why]);
  const newestFirst = [...backups].filter(({ good }) => good).reverse();
  for (const { id, pinned, maybePinned } of backups) {
    if (pinned) keep(id, "pinned");
    else if (maybePinned === true) keep(id, MAYBE_PINNED);
  }
  for (const { id } of newestFirst.slice(0, policy.last ?? 0)) keep(id, "last");
  for (const { id, instantMs } of newestFirst) {
    if (policy.withinMs !== undefined && nowMs - instantMs <= policy.withinMs) keep(id, "within");
  }
  for (const [rule, periodOf] of Object.entries(PERIODS) as [keyof typeof PERIODS, (at: Date) => string][]) {
    const seen = new Set<string>();
    for (const { id, instantMs } of newestFirst) {
      const period = periodOf(new Date(instantMs));
      if (seen.has(period) || seen.size >= (policy[rule] ?? 0)) continue;
      seen.add(period);
      keep(id, rule);
    }
  }
  const minGood = Math.max(1, policy.minGood ?? 1);
  for (const { id } of newestFirst.slice(0, Math.max(0, minGood))) {
    const stay = newestFirst.filter((one) => kept.has(one.id)).length;
    if (stay < minGood && !kept.has(id)) keep(id, "minimum of good ones");
  }
  for (const { id, good } of [...backups].reverse()) {
    if (good) break;
    keep(id, "damaged, and newer than every good one");
  }
  return kept;
}
