// The one file that knows the package age-encryption; it is loaded when something is encrypted. What it says about a value is
// never passed on where the value is a secret.
import { PapyraError } from "../errors.ts";

/** Encrypts to all of the recipients. Rejects with OPTION_INVALID for one that is none. */
export async function encryptTo(recipients: readonly string[], plain: Buffer): Promise<Buffer> {
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch (cause) {
      throw new PapyraError("OPTION_INVALID", `${JSON.stringify(recipient)} is no age recipient`, {
        cause,
        hint: "a recipient is the public key that age-keygen prints: age1...",
      });
    }
  }
  return Buffer.from(await encrypter.encrypt(plain));
}

/** What was encrypted, or undefined when none of the identities opens it. Rejects with OPTION_INVALID for one that is none. */
export async function decryptWith(identities: readonly string[], file: Buffer): Promise<Buffer | undefined> {
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  for (const [i, identity] of identities.entries()) {
    try {
      decrypter.addIdentity(identity);
    } catch {
      throw new PapyraError("OPTION_INVALID", `identity ${i + 1} of ${identities.length} is no age identity`, {
        hint: "an identity is the secret key that age-keygen makes: AGE-SECRET-KEY-1...",
      });
    }
  }
  try {
    return Buffer.from(await decrypter.decrypt(file));
  } catch {
    return undefined; // it does not say reliably whether the identity or the file is wrong: the caller knows a checksum
  }
}

/** The identities in a file as age-keygen writes it. Rejects with OPTION_INVALID; says nothing of what is in it. */
export function parseIdentities(text: string, file: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const identities = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (identities.length > 0 && identities.every((line) => line.startsWith("AGE-SECRET-KEY-"))) return identities;
  const encrypted = text.startsWith("age-encryption.org/") || text.startsWith("-----BEGIN AGE");
  throw new PapyraError("OPTION_INVALID", `${file} is no file of age identities`, {
    hint: encrypted
      ? "it is encrypted itself; decrypt it first: age -d"
      : "make one: age-keygen -o key.txt; its lines begin with AGE-SECRET-KEY- or #",
  });
}
