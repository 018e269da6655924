// doctor checklist: what is configured and what the repository tells, joined.
import { checklist, type ChecklistReport } from "../backup/checklist.ts";
import { PapyraError } from "../errors.ts";
import type { Context, Outcome } from "./context.ts";
import type { Paint } from "./io.ts";
import { lines, verdictLine } from "./render.ts";
import { printable } from "./text.ts";

export async function runChecklist(context: Context): Promise<Outcome> {
  const objects = await context.repository();
  const { backend, path } = await context.open("store");
  const { identity } = await backend.view();
  if (identity === undefined) {
    throw new PapyraError(
      "STORE_UNCHECKED",
      `${path} holds logs without checksums: no backup can be proved to be of them`,
      {
        hint: "start the service on a new store, or name another one with --path",
      },
    );
  }
  const report = await checklist(objects, context.env, {
    store: identity.store,
    path,
    restoreProcedure: await context.configuredPath((config) => config.checklist?.restoreProcedure),
    quarantineDir: await context.configuredQuarantine(),
  });
  return {
    exit: report.ok ? 0 : 1,
    verdict: report.verdict,
    report,
    text: (paint) => render(report, paint),
  };
}

const MARKS = { done: "[x]", "not done": "[ ]", "cannot be told": "[?]" } as const;

function render(report: ChecklistReport, paint: Paint): string {
  return lines(
    verdictLine(report.ok ? "good" : "bad", report.verdict, paint),
    `repository: ${printable(report.repository)}`,
    ...report.items.flatMap(({ name, verdict, detail, next }) => [
      `${MARKS[verdict]} ${name}: ${verdict === "done" ? "" : `${verdict}: `}${printable(detail)}`,
      ...(next === undefined ? [] : [`    Next: ${printable(next)}`]),
    ]),
  );
}
