// AES-256-GCM for objects, and the one-to-one hiding of content hashes. Keys and nonces come from the system's own generator,
// never from `env.random`, which is for names.
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

export function newKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** Random for each object: with 96 bits, one key is good for four thousand million of them. */
export function newNonce(): Buffer {
  return randomBytes(NONCE_BYTES);
}

/** The ciphertext with its tag behind it. `context` is authenticated, and not in the result. */
export function seal(key: Buffer, nonce: Buffer, context: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(context);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined when a bit of it, of the context or of the nonce is not what it was. */
export function open(key: Buffer, nonce: Buffer, context: Buffer, sealed: Buffer): Buffer | undefined {
  const end = sealed.length - TAG_BYTES;
  if (end < 0) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]);
  } catch {
    return undefined;
  }
}

/**
 * Hides a SHA-256, one to one: each half is one block of AES, so that equal hashes, and only those, have equal results, and
 * nobody without the key can tell whether a hash that he has computed is among them.
 */
export function hideHash(key: Buffer, sha256: string): string {
  const cipher = createCipheriv("aes-256-ecb", key, null).setAutoPadding(false);
  return Buffer.concat([cipher.update(Buffer.from(sha256, "hex")), cipher.final()]).toString("hex");
}

export function revealHash(key: Buffer, hidden: string): string {
  const decipher = createDecipheriv("aes-256-ecb", key, null).setAutoPadding(false);
  return Buffer.concat([decipher.update(Buffer.from(hidden, "hex")), decipher.final()]).toString("hex");
}
