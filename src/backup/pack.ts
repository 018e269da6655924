// One packed object: a header of 40 bytes, then the content, compressed, encrypted, or both. Numbers are big-endian.
//   0 magic (8)   8 version   9 compression: 0 none, 1 brotli   10 encryption: 0 none, 1 AES-256-GCM   11 zero
//   12 number of the data key, or 0   16 bytes of the plain content   20 bytes behind the header   24 nonce (12);
//   not encrypted: CRC-32 of what is behind the header (4), and zeros
//   36 CRC-32 of all that: it tells a damaged header from one that is not understood, and from a wrong key
// Encrypted content ends with its tag; the header and the object's name are authenticated with it, so that neither can be
// exchanged. Compression comes first: encrypted bytes do not shrink.
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants, crc32 } from "node:zlib";
import { PapyraError } from "../errors.ts";
import { newNonce, NONCE_BYTES, open, seal, TAG_BYTES } from "./cipher.ts";
import { OBJECT_BYTES_MAX } from "./objects.ts";

export const COMPRESSIONS = ["brotli", "none"] as const;
/** How content is made smaller. */
export type Compression = (typeof COMPRESSIONS)[number];

export const HEADER_BYTES = 40;
/** No line of a log begins so: it is no UTF-8. */
const MAGIC = Buffer.from("\x89PAPYRA\n", "latin1");
const VERSION = 1;
const CRC_AT = 36;
const NONCE_AT = 24;

/** The data key of an object, and the number by which its header names it. */
export interface DataKey {
  readonly number: number;
  readonly key: Buffer;
}

/** What a header says. */
export interface Header {
  readonly compressed: boolean;
  /** Of the data key, or undefined: not encrypted. */
  readonly key: number | undefined;
  readonly plainBytes: number;
  readonly bodyBytes: number;
  readonly nonce: Buffer;
  /** The very bytes. */
  readonly bytes: Buffer;
}

const compressBytes = promisify(brotliCompress);
const decompressBytes = promisify(brotliDecompress);
/** Measured: docs/decisions.md. */
const QUALITY = 3;

/** As it is stored. Content that is neither compressed nor encrypted is stored as it is. */
export async function pack(
  name: string,
  content: Uint8Array,
  compression: Compression,
  dataKey: DataKey | undefined,
): Promise<Buffer> {
  const plain = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const bare = compression === "none" && dataKey === undefined;
  if (bare && !startsPacked(plain)) return plain;
  const smaller = compression === "none" ? plain : await compress(plain);
  const compressed = smaller.length < plain.length;
  const body = compressed ? smaller : plain;
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.set([VERSION, compressed ? 1 : 0, dataKey === undefined ? 0 : 1, 0], MAGIC.length);
  header.writeUInt32BE(dataKey?.number ?? 0, 12);
  header.writeUInt32BE(plain.length, 16);
  header.writeUInt32BE(body.length + (dataKey === undefined ? 0 : TAG_BYTES), 20);
  const nonce = dataKey === undefined ? checksumOf(body) : newNonce();
  nonce.copy(header, NONCE_AT);
  header.writeUInt32BE(crc32(header.subarray(0, CRC_AT)), CRC_AT);
  const stored = dataKey === undefined ? body : seal(dataKey.key, nonce, contextOf(header, name), body);
  return Buffer.concat([header, stored]);
}

/** The header at the beginning of an object. "plain": it was never packed. Rejects with FORMAT_UNKNOWN. */
export function readHeader(name: string, start: Buffer): Header | "plain" | "damaged" {
  if (!startsPacked(start)) return "plain";
  const bytes = start.subarray(0, HEADER_BYTES);
  if (bytes.length < HEADER_BYTES || crc32(bytes.subarray(0, CRC_AT)) !== bytes.readUInt32BE(CRC_AT)) return "damaged";
  const [version, compression, encryption] = [bytes.readUInt8(8), bytes.readUInt8(9), bytes.readUInt8(10)];
  if (version !== VERSION || compression > 1 || encryption > 1) {
    throw new PapyraError(
      "FORMAT_UNKNOWN",
      `${name} is packed as ${version}.${compression}.${encryption}; this release knows ${VERSION}.0.0 to ${VERSION}.1.1`,
      { hint: "use the release of Papyra that wrote it" },
    );
  }
  return {
    compressed: compression === 1,
    key: encryption === 1 ? bytes.readUInt32BE(12) : undefined,
    plainBytes: bytes.readUInt32BE(16),
    bodyBytes: bytes.readUInt32BE(20),
    nonce: bytes.subarray(NONCE_AT, CRC_AT),
    bytes,
  };
}

/** The plain size of an object that has `storedBytes`: 0 where the two do not go together. */
export function plainBytesOf(name: string, start: Buffer, storedBytes: number): number {
  const header = readHeader(name, start);
  if (header === "plain") return storedBytes;
  return header !== "damaged" && header.bodyBytes === storedBytes - HEADER_BYTES ? header.plainBytes : 0;
}

/** The content again, or undefined when anything in it is not what was stored. */
export async function unpack(
  name: string,
  header: Header,
  stored: Buffer,
  key: Buffer | undefined,
): Promise<Buffer | undefined> {
  const { compressed, plainBytes, bodyBytes, nonce } = header;
  let body: Buffer | undefined = stored.subarray(HEADER_BYTES);
  if (body.length !== bodyBytes || plainBytes > OBJECT_BYTES_MAX) return undefined;
  if (key !== undefined) body = open(key, nonce, contextOf(header.bytes, name), body);
  else if (!checksumOf(body).equals(nonce)) return undefined;
  if (body !== undefined && compressed) body = await decompress(body, plainBytes);
  return body?.length === plainBytes ? body : undefined;
}

/** In the place of a nonce: brotli itself does not notice every flipped bit. */
function checksumOf(body: Buffer): Buffer {
  const field = Buffer.alloc(NONCE_BYTES);
  field.writeUInt32BE(crc32(body));
  return field;
}

function startsPacked(bytes: Buffer): boolean {
  return bytes.subarray(0, MAGIC.length).equals(MAGIC);
}

function contextOf(header: Buffer, name: string): Buffer {
  return Buffer.concat([header, Buffer.from(name)]);
}

function compress(plain: Buffer): Promise<Buffer> {
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = constants;
  return compressBytes(plain, { params: { [BROTLI_PARAM_QUALITY]: QUALITY, [BROTLI_PARAM_SIZE_HINT]: plain.length } });
}

/** Never makes more than the header says: a small object that unfolds into a huge one ends here. */
async function decompress(body: Buffer, plainBytes: number): Promise<Buffer | undefined> {
  try {
    return await decompressBytes(body, { maxOutputLength: Math.max(1, plainBytes) });
  } catch {
    return undefined;
  }
}
