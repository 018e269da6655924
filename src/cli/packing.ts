// How a repository is packed: by flags, the environment and the configuration.
import { resolve } from "node:path";
import { parseIdentities } from "../backup/age.ts";
import type { PackedOptions } from "../backup/packed.ts";
import type { BackupsConfig } from "../config.ts";
import { readSmall } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import type { CliIo } from "./io.ts";

/** What of a command's context is needed here. */
interface Asked {
  readonly options: { readonly [name: string]: unknown };
  readonly io: CliIo;
  readonly env: Env;
  resolve(path: string): string;
}

/** By --age-recipient, --age-identity or PAPYRA_AGE_IDENTITY, and --compress. */
export async function givenPacking(asked: Asked): Promise<PackedOptions> {
  const { ageRecipient, ageIdentity, compress } = asked.options;
  const environment = asked.io.env.PAPYRA_AGE_IDENTITY || undefined;
  const files = (ageIdentity as string[] | undefined) ?? (environment === undefined ? undefined : [environment]);
  return {
    recipients: ageRecipient as string[] | undefined,
    identities:
      files === undefined
        ? undefined
        : await readIdentities(
            asked.env,
            files.map((file) => asked.resolve(file)),
          ),
    compression: compress === true ? "brotli" : undefined,
  };
}

/** By the configuration; its file of identities is not read where the command names another one. */
export async function configuredPacking(
  asked: Asked,
  { compression, recipients, identityFile }: BackupsConfig,
  base: string,
): Promise<PackedOptions> {
  const named = asked.options.ageIdentity !== undefined || Boolean(asked.io.env.PAPYRA_AGE_IDENTITY);
  const identities =
    identityFile === undefined || named ? undefined : await readIdentities(asked.env, [resolve(base, identityFile)]);
  return { compression, recipients, identities };
}

async function readIdentities({ fs }: Env, files: readonly string[]): Promise<string[]> {
  const identities: string[] = [];
  for (const file of files) identities.push(...parseIdentities((await readSmall(fs, file)).toString("utf8"), file));
  return identities;
}
