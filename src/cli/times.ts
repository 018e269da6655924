// Points in time as people type them at night. Pure.
import { PapyraError } from "../errors.ts";

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const ISO = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d:?\d\d)?$/;

/**
 * Milliseconds since the epoch from `2026-01-01`, `2026-01-01T10:30`, `2026-01-01T10:30:00Z` (UTC where no zone is
 * given), `15m`, `2h`, `3d` (so long ago), or `@1767225600` (epoch seconds).
 */
export function parseTime(option: string, value: string, nowMs: number): number {
  const ago = /^(\d{1,9})([smhdw])$/.exec(value);
  if (ago !== null) return nowMs - Number(ago[1]) * (UNITS_MS[ago[2] as string] as number);
  const epoch = /^@(\d{1,12}(\.\d+)?)$/.exec(value);
  if (epoch !== null) return Math.round(Number(epoch[1]) * 1000);
  const iso = ISO.exec(value);
  if (iso !== null) {
    const zone = iso[4] === undefined && iso[1] !== undefined ? "Z" : "";
    const timeMs = Date.parse(`${value.replace(" ", "T")}${zone}`);
    if (!Number.isNaN(timeMs)) return timeMs;
  }
  throw new PapyraError("OPTION_INVALID", `${option} is not a point in time: ${JSON.stringify(value)}`, {
    hint: "give 2026-01-01, 2026-01-01T10:30:00Z (UTC where no zone is given), 15m, 2h or 3d (ago), or @1767225600",
    details: { option, value },
  });
}
