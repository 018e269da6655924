// The retention of a store, as users write it down: checked, and nothing that nobody reads.
import { PapyraError } from "../errors.ts";
import { refuseUnknown, wholeNumber } from "../options.ts";
import { RETAINED_LOGS, type RetainedLog, type Retention, type RetentionPolicy } from "../log/retention.ts";

const AGE_MAX_MS = 100 * 366 * 24 * 3_600_000;
const BOUNDS = { maxRecords: Number.MAX_SAFE_INTEGER, maxAgeMs: AGE_MAX_MS, maxBytes: Number.MAX_SAFE_INTEGER };

/** Rejects with OPTION_INVALID. */
export function resolveRetention(policy: unknown): RetentionPolicy {
  if (policy === undefined) return {};
  assertObject("retention", policy);
  refuseUnknown("retention", policy, RETAINED_LOGS);
  const logs = Object.entries(policy).filter(([, bounds]) => bounds !== undefined);
  return Object.freeze(
    Object.fromEntries(logs.map(([log, bounds]) => [log, resolveBounds(log as RetainedLog, bounds)])),
  );
}

function resolveBounds(log: RetainedLog, bounds: unknown): Retention {
  assertObject(`retention.${log}`, bounds);
  refuseUnknown(`retention.${log}`, bounds, Object.keys(BOUNDS));
  const given = Object.entries(BOUNDS).flatMap(([name, max]) => {
    const value = (bounds as Record<string, unknown>)[name];
    return value === undefined ? [] : [[name, wholeNumber(`retention.${log}.${name}`, value, 0, 0, max)]];
  });
  return Object.freeze(Object.fromEntries(given) as Retention);
}

function assertObject(name: string, value: unknown): asserts value is object {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw new PapyraError("OPTION_INVALID", `option \`${name}\` must be an object, not ${String(value)}`, {
    hint: "for example: retention: { events: { maxAgeMs: 30 * 86_400_000 } }",
    details: { option: name, value },
  });
}
