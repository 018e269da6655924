// Damage to a store of which it is known what was promised.
import type { FileStoreOptions } from "../../src/backends/file-options.ts";
import type { LogName } from "../../src/log/record.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import type { Dice } from "./random-scenario.ts";
import type { Truth } from "./truth.ts";
import { backendOn, PATH } from "./scenario.ts";

/** Damages one byte of one promised record that no compaction may take out; which one it was. */
export async function harmOne(
  disk: SimDisk,
  options: Partial<FileStoreOptions>,
  truth: Truth,
  dice: Dice,
): Promise<{ readonly log: LogName; readonly seq: number } | undefined> {
  const { segments } = await backendOn(disk, options).view();
  const { name, log } = dice.of(segments);
  if (log === undefined) return undefined;
  const bytes = disk.content(`${PATH}/${name}`);
  const lines = [...bytes.toString("latin1").matchAll(/^\{"seq":(\d+),[^\n]*\n/gm)];
  const promised = lines.filter(([line, text]) => {
    const seq = Number(text);
    const n = truth.acknowledged.get(log)?.get(seq);
    const expected = truth.mayGo.get(log)?.has(seq) || truth.harmed.get(log)?.has(seq);
    // It may be another record, whose seq was damaged before.
    return n !== undefined && !expected && line.includes(`"payload":{"n":${n}`);
  });
  if (promised.length === 0) return undefined;
  const line = dice.of(promised);
  const at = line.index + dice.below(line[0].length - 1); // the line break is no part of the record
  disk.corrupt(`${PATH}/${name}`, (content) => content.fill((bytes[at] as number) ^ (1 << dice.below(8)), at, at + 1));
  const seq = Number(line[1]);
  truth.harmed.get(log)?.add(seq);
  return { log, seq };
}
