// doctor run: the facts of the process come from here; the rest is the operation's.
import { doctor } from "../ops/doctor.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfDoctor } from "./exit-codes.ts";
import { renderDoctor } from "./render.ts";

export async function runDoctor(context: Context): Promise<Outcome> {
  const { mode, quarantineDir } = await context.startup();
  const { backend, path } = await context.open("store", "policy");
  const { node, platform } = context.io;
  const { config, file } = await context.config();
  const policySource =
    backend.kind === "redis"
      ? "the server"
      : config.store === undefined || file === undefined
        ? "default; papyra.config names no other"
        : file;
  const onProgress = context.progress("checking");
  const { signal } = context;
  const report = await doctor(backend, { mode, quarantineDir, node, platform, policySource, signal, onProgress });
  return {
    exit: exitOfDoctor(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderDoctor(report, path, paint),
  };
}
