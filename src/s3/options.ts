// The options of a bucket, checked.
import { isObjectName } from "../backup/object-names.ts";
import { PapyraError } from "../errors.ts";
import { oneOf, refuseUnknown, text, wholeNumber } from "../options.ts";

/** A client of the package `@aws-sdk/client-s3`, made by the user with whatever settings. */
export interface S3ClientLike {
  send(...args: never[]): unknown;
  readonly config: object;
}

/** Keys that do not change. Anything else (profiles, roles, tokens) is what a client of the user's own is for. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Keeps every object from being removed or overwritten for so long; the bucket must have been made with object lock. */
export interface S3ObjectLock {
  /** "governance": whoever has the right to may still remove it. "compliance": nobody may. */
  readonly mode: "governance" | "compliance";
  /** 1 to 36,500. */
  readonly days: number;
}

export interface S3Timing {
  /** So long a call may take, with everything that is tried again, in milliseconds. 100 to 3,600,000. Default 120,000. */
  readonly deadlineMs: number;
  /** After so many milliseconds a single request is given up and made again. 50 to 600,000. Default 30,000. */
  readonly requestTimeoutMs: number;
  /**
   * So long after its last sign of life nobody relies on a hold any more, in milliseconds; after half as long again, and two
   * seconds, somebody else may take it. Not less than `deadlineMs`. 1,000 to 3,600,000. Default 120,000.
   */
  readonly leaseMs: number;
}

/** Options of a repository in a bucket. */
export interface S3ObjectsOptions extends Partial<S3Timing> {
  readonly bucket: string;
  /** What all keys begin with, without slashes at its ends. Default: nothing, the bucket belongs to the repository. */
  readonly prefix?: string;
  /** A client of the user's own. Not together with the four options that follow. */
  readonly client?: S3ClientLike;
  /** Default: what the environment and the configuration files of AWS say; with an `endpoint`, "us-east-1". */
  readonly region?: string;
  /** The address of a server other than AWS: `https://host[:port]`. */
  readonly endpoint?: string;
  /** Default: what the environment, the configuration files or the machine's role say. */
  readonly credentials?: S3Credentials;
  /** Names the bucket in the path instead of the host name. Default: true with an `endpoint`, else false. */
  readonly forcePathStyle?: boolean;
  /**
   * "required": a server that ignores conditional writes (`If-None-Match: *`) is found out and refused where it matters.
   * "none": they are not used; then no more than one process may work on the repository at a time. Default "required".
   */
  readonly conditionalWrites?: "required" | "none";
  readonly objectLock?: S3ObjectLock;
}

export interface ResolvedS3Options {
  readonly bucket: string;
  /** Empty, or with a slash at its end. */
  readonly keyPrefix: string;
  /** Without anything secret. */
  readonly location: string;
  readonly client: S3ClientLike | undefined;
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  readonly credentials: S3Credentials | undefined;
  readonly forcePathStyle: boolean;
  readonly conditionalWrites: "required" | "none";
  readonly objectLock: S3ObjectLock | undefined;
  readonly timing: S3Timing;
}

const CONNECTION = ["region", "endpoint", "credentials", "forcePathStyle"] as const;
const TIMES = ["deadlineMs", "requestTimeoutMs", "leaseMs"];
const KNOWN = ["bucket", "prefix", "client", ...CONNECTION, "conditionalWrites", "objectLock", ...TIMES];

export function resolveS3Options(options: S3ObjectsOptions): ResolvedS3Options {
  refuseUnknown("s3Objects", options, KNOWN);
  const bucket = text("bucket", options.bucket);
  if (!/^[A-Za-z0-9][A-Za-z0-9._:-]{1,250}$/.test(bucket)) throw invalid("bucket", `\`bucket\` is no name: ${bucket}`);
  const prefix = options.prefix ?? "";
  if (typeof prefix !== "string" || (prefix !== "" && !isObjectName(prefix)))
    throw invalid("prefix", `\`prefix\` has parts of A-Z a-z 0-9 . _ - with single slashes between: ${prefix}`);
  const { client, region, credentials, objectLock } = options;
  const both = client === undefined ? undefined : CONNECTION.find((name) => options[name] !== undefined);
  if (both !== undefined) throw invalid(both, `with \`client\`, \`${both}\` is the client's own business`);
  if (client !== undefined && typeof client.send !== "function")
    throw invalid("client", "`client` is no S3Client of the package @aws-sdk/client-s3");
  if (region !== undefined) text("region", region);
  if (objectLock !== undefined) checkLock(objectLock);
  const endpoint = options.endpoint === undefined ? undefined : checkEndpoint(options.endpoint);
  const { forcePathStyle = endpoint !== undefined } = options;
  if (typeof forcePathStyle !== "boolean") throw invalid("forcePathStyle", "`forcePathStyle` is true or false");
  const where = endpoint === undefined ? "" : ` at ${endpoint.host}`;
  return {
    bucket,
    keyPrefix: prefix === "" ? "" : `${prefix}/`,
    location: `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}${where}`,
    client,
    region: region ?? (endpoint === undefined ? undefined : "us-east-1"),
    endpoint: endpoint?.href,
    credentials: credentials === undefined ? undefined : ownCredentials(credentials),
    forcePathStyle,
    conditionalWrites: oneOf("conditionalWrites", options.conditionalWrites, "required", ["required", "none"]),
    objectLock,
    timing: timingOf(options),
  };
}

function timingOf(options: S3ObjectsOptions): S3Timing {
  const deadlineMs = wholeNumber("deadlineMs", options.deadlineMs, 120_000, 100, 3_600_000);
  const leaseMs = wholeNumber("leaseMs", options.leaseMs, Math.max(120_000, deadlineMs), 1000, 3_600_000);
  // Whoever asks whether it still holds, and then makes one more call, is done before anybody else can come.
  if (leaseMs < deadlineMs) throw invalid("leaseMs", `\`leaseMs\` (${leaseMs}) is not less than \`deadlineMs\``);
  return {
    deadlineMs,
    leaseMs,
    requestTimeoutMs: wholeNumber("requestTimeoutMs", options.requestTimeoutMs, 30_000, 50, 600_000),
  };
}

/**
 * A copy, since the package writes into what it is given; what it has written there (`$source`) is left out. The messages
 * never show what was given: it may be a secret in the wrong place.
 */
function ownCredentials(credentials: S3Credentials): S3Credentials {
  const own = Object.fromEntries(
    Object.entries(credentials).filter(([name]) => !name.startsWith("$")),
  ) as unknown as S3Credentials;
  refuseUnknown("credentials", own, ["accessKeyId", "secretAccessKey", "sessionToken"]);
  for (const name of ["accessKeyId", "secretAccessKey", "sessionToken"] as const) {
    const value: unknown = own[name];
    if (value === undefined && name === "sessionToken") continue;
    if (typeof value !== "string" || value === "")
      throw invalid("credentials", `\`credentials.${name}\` must be a string that is not empty`);
  }
  return own;
}

function checkLock(lock: S3ObjectLock): void {
  refuseUnknown("objectLock", lock, ["mode", "days"]);
  oneOf("objectLock.mode", lock.mode, "governance", ["governance", "compliance"]);
  wholeNumber("objectLock.days", lock.days, 0, 1, 36_500);
}

function checkEndpoint(endpoint: string): URL {
  let url: URL;
  try {
    url = new URL(endpoint);
  } catch {
    throw invalid("endpoint", "`endpoint` is no URL; it looks like https://s3.example.org");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw invalid("endpoint", `\`endpoint\` begins with https:// or http://, not ${url.protocol}//`);
  if (url.username !== "" || url.password !== "" || url.search !== "")
    throw invalid("endpoint", `\`endpoint\` holds no credentials: name ${url.host} alone, and set \`credentials\``);
  return url;
}

function invalid(option: string, message: string): PapyraError {
  return new PapyraError("OPTION_INVALID", message, { details: { option } });
}
