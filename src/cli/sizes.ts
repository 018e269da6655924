// Amounts as people type them: sizes and spans of time. Pure.
import { PapyraError } from "../errors.ts";

const SIZES: Readonly<Record<string, number>> = { "": 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const SPANS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Bytes from `4096`, `64KiB`, `1.5GiB`. A fraction needs a unit: `1.5` alone is meant otherwise than as two bytes. */
export function parseSize(option: string, value: string): number {
  const match = /^(\d{1,15}(?=B?$)|\d{1,15}(?:\.\d{1,3})?(?=.iB$))(B|KiB|MiB|GiB|TiB)?$/.exec(value);
  const bytes = match === null ? Number.NaN : Math.round(Number(match[1]) * (SIZES[match[2] ?? ""] as number));
  if (Number.isSafeInteger(bytes)) return bytes;
  throw invalid(option, value, "a size: 4096, 64KiB, 1.5GiB");
}

/** Milliseconds from `90s`, `15m`, `2h`, `30d`, `8w`. */
export function parseSpan(option: string, value: string): number {
  const match = /^(\d{1,9})([smhdw])$/.exec(value);
  if (match !== null) return Number(match[1]) * (SPANS_MS[match[2] as string] as number);
  throw invalid(option, value, "a span of time: 90s, 15m, 2h, 30d, 8w");
}

function invalid(option: string, value: string, wanted: string): PapyraError {
  return new PapyraError("OPTION_INVALID", `${option} is not ${wanted.split(":")[0]}: ${JSON.stringify(value)}`, {
    hint: `give ${wanted.split(": ")[1]}`,
    details: { option, value },
  });
}
