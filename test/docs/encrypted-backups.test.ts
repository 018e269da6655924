// Every command of the page on encrypted backups, in order, as one types it. Where age is not installed, its library stands
// in for it.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build, type Build } from "../cli/build.ts";
import { gone, makeStore, papyra, papyraJson, scratch, shellWith } from "../cli/helpers.ts";
import { textOf } from "../source.ts";

const dir = scratch();
let built: Build;
const hasAge =
  spawnSync("age", ["--version"]).status === 0 && spawnSync("age-keygen", ["--version"]).error === undefined;

/** age-keygen -o FILE, age-keygen -y FILE, age -d -i FILE FILE: what the page uses. */
const STAND_IN = `#!${process.execPath}
import { readFileSync, writeFileSync } from "node:fs";
import * as age from "age-encryption";
const [option, file, ...rest] = process.argv.slice(2);
const read = (from) => readFileSync(from, "utf8").split("\\n").find((line) => line.startsWith("AGE-"));
if (option === "-o") writeFileSync(file, "# made for a test\\n" + (await age.generateX25519Identity()) + "\\n");
else if (option === "-y") console.log(await age.identityToRecipient(read(file)));
else {
  const decrypter = new age.Decrypter();
  decrypter.addIdentity(read(rest[0]));
  process.stdout.write(await decrypter.decrypt(readFileSync(rest[1])));
}
`;

beforeAll(async () => {
  built = build();
  await makeStore(join(dir, "persistence"), 30);
  if (hasAge) return;
  mkdirSync(join(built.root, "age"));
  for (const name of ["age", "age-keygen"]) {
    const script = join(built.root, "age", `${name}.mjs`);
    writeFileSync(script, STAND_IN);
    writeFileSync(join(built.path, name), `#!/bin/sh\nexec ${process.execPath} ${script} "$@"\n`);
    chmodSync(join(built.path, name), 0o755);
  }
});
afterAll(() => {
  gone(dir);
  built.remove();
});

const page = textOf("docs/operations/encrypted-backups.md");

test("docs/operations/encrypted-backups.md: every command does what the page says", () => {
  const commands = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block as string).join("");
  const ran = shellWith(built.path, `set -e\n${commands}`, dir);
  expect(ran, ran.stderr).toMatchObject({ status: 0 });
  expect(ran.stdout).toMatch(/"papyra_keys":1,.*"keys":\{"1":"[0-9a-f]{64}"/);
  expect(ran.stdout).toContain("000001.age: OK");
  expect(ran.stdout).toContain("PASS");
  expect(existsSync(join(dir, "restored/events.ndjson"))).toBe(true);
  expect(existsSync(join(dir, "backups/keys/000001.age"))).toBe(false);
  process.stdout.write(
    `interoperability: ${hasAge ? "checked with the real age" : "1 check skipped, age is not installed"}\n`,
  );
});

test("exit 12 with the way out, by option, environment and configuration; what is given opens it", async () => {
  const repository = ["--repository", join(dir, "backups")];
  for (const more of [[], ["--age-identity", join(dir, "key.txt")]]) {
    const failed = await papyraJson(["backup", "list", ...repository, ...more]);
    expect(failed).toMatchObject({
      exit: 12,
      error: { code: "KEY_WRONG", hint: expect.stringContaining("--age-identity") },
    });
  }
  const env = { PAPYRA_AGE_IDENTITY: join(dir, "new.txt") };
  expect(await papyraJson(["backup", "list", ...repository], { env })).toMatchObject({ exit: 0 });
  const twice = ["--age-identity", join(dir, "key.txt"), "--age-identity", join(dir, "new.txt")];
  expect(await papyraJson(["backup", "list", ...repository, ...twice])).toMatchObject({ exit: 0 });

  const config = join(dir, "papyra.config.json");
  writeFileSync(config, JSON.stringify({ backups: { directory: "backups", identityFile: "new.txt" } }));
  const path = ["--path", join(dir, "persistence"), "--config", config];
  expect(await papyraJson(["backup", "create", ...path])).toMatchObject({ exit: 0 });
  writeFileSync(config, JSON.stringify({ backups: { directory: "backups", identity: "new.txt" } }));
  expect(await papyraJson(["backup", "list", ...path])).toMatchObject({ exit: 64, error: { code: "CONFIG_INVALID" } });
  const secret = readFileSync(join(dir, "new.txt"), "utf8")
    .split("\n")
    .find((line) => line.startsWith("AGE-")) as string;
  writeFileSync(join(dir, "broken.txt"), `${secret}X\n`);
  const broken = await papyra(["backup", "list", ...repository, "--age-identity", join(dir, "broken.txt")]);
  expect(broken.exit).toBe(64);
  expect(broken.stderr).not.toContain(secret.slice(20));
});

test("rotate-keys reports what docs/cli.md says", async () => {
  const own = ["--repository", join(dir, "backups"), "--age-identity", join(dir, "new.txt")];
  const recipient = /"recipients":\["(age1[a-z0-9]+)"/;
  const plain = shellWith(built.path, "age -d -i new.txt backups/keys/*.age", dir).stdout;
  const [, one = ""] = recipient.exec(plain) ?? [];
  const done = await papyraJson(["backup", "rotate-keys", ...own, "--age-recipient", one]);
  expect(done).toMatchObject({ exit: 0, report: { ok: true, dataKeys: 3, recipients: [one], removed: [] } });
  const documented =
    textOf("docs/cli.md")
      .split("### papyra backup rotate-keys")[1]
      ?.match(/^- (.*)$/m)?.[1] ?? "";
  expect(
    [...documented.matchAll(/`([A-Za-z]+)`/g)]
      .map(([, field]) => field)
      .sort((a, b) => (String(a) < String(b) ? -1 : 1)),
  ).toEqual(Object.keys(done.report as object).sort((a, b) => (a < b ? -1 : 1)));
});
