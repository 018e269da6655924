// Another set of people who may read a repository, without copying it:
// 1. a new key file is stored, with all data keys and a new one, for the new recipients: from here on it counts;
// 2. what is stored is read back and compared; 3. the former key files go. A crash before 1 leaves everything as it was; one behind
// it leaves a former key file that nobody asks for, and the next rotation removes it.
import { PapyraError } from "../errors.ts";
import {
  assertStored,
  findKeyFiles,
  keyFileName,
  type Keyring,
  makeKeyring,
  openKeyring,
  putChecksum,
} from "./keyring.ts";
import type { ObjectStore } from "./objects.ts";
import { checkPackOptions, sameRecipients, unpacked } from "./packed.ts";

export interface RotateKeysOptions {
  /** One that opens the repository now. Default: those that the place is packed with. */
  readonly identities?: readonly string[] | undefined;
  /** All who shall open it from now on. Default: those that the place is packed with. */
  readonly recipients?: readonly string[] | undefined;
}

export interface RotateKeysReport {
  readonly ok: true;
  readonly verdict: string;
  readonly repository: string;
  /** The key file that counts now. */
  readonly keyFile: string;
  readonly dataKeys: number;
  readonly recipients: readonly string[];
  /** Who could open it before, and cannot any more. */
  readonly removed: readonly string[];
}

/**
 * Encrypts the keys of a repository to other recipients, and takes a new data key for what is stored from then on. What is stored
 * stays as it is: who was a recipient and has kept the keys can still read that. Rejects with KEY_WRONG, OPTION_INVALID,
 * REPOSITORY_LOCKED, BACKUP_DAMAGED, STORAGE_FULL, STORAGE_FAILED.
 */
export async function rotateKeys(place: ObjectStore, options: RotateKeysOptions = {}): Promise<RotateKeysReport> {
  const { objects, options: packing } = unpacked(place);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const { identities, recipients } = checkPackOptions({ ...packing, ...Object.fromEntries(given) });
  if (recipients.length === 0)
    throw new PapyraError("OPTION_INVALID", "a rotation needs the recipients that shall be there from now on", {
      hint: "name all of them: --age-recipient age1...",
    });
  const hold = await objects.hold("exclusive", "key rotation");
  try {
    const files = await findKeyFiles(objects);
    if (files.newest === 0) {
      throw new PapyraError("OPTION_INVALID", `${objects.location} is not encrypted: it has no keys`, {
        hint: "the first backup with recipients makes them: papyra backup create --age-recipient age1...",
      });
    }
    const before = await openKeyring(objects, files, identities);
    // The end of a rotation that was interrupted.
    const ending = files.former.length > 0 && sameRecipients(before.recipients, recipients);
    await hold.assertHeld();
    const ring = ending ? before : await makeKeyring(objects, recipients, before);
    if (ring === undefined) throw new PapyraError("INTERNAL", `somebody else has rotated the keys under a lock`);
    if (ending) await putChecksum(objects, ring.number);
    await assertStored(objects, ring.number);
    const obsolete = ending ? files.former : (await findKeyFiles(objects)).former;
    await hold.assertHeld();
    for (const name of obsolete) await objects.remove(name);
    return reportOf(objects.location, before, ring);
  } finally {
    await hold.release();
  }
}

function reportOf(repository: string, before: Keyring, ring: Keyring): RotateKeysReport {
  const { recipients, number } = ring;
  const removed = before.recipients.filter((one) => !recipients.includes(one));
  const keyFile = keyFileName(number);
  const verdict = `${keyFile} counts now: ${ring.keys.size} data keys for ${recipients.length} recipients; ${removed.length} recipients removed`;
  return { ok: true, verdict, repository, keyFile, dataKeys: ring.keys.size, recipients, removed };
}
