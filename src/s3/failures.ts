// PURE. What became of a request that failed: whether it is worth making again, and how to say it to people. The package
// throws errors of many classes; they are told apart by the name that the server gave, by status and by errno.
import { type ErrorCode, PapyraError } from "../errors.ts";

/** What the errors of the package have in common. */
interface Thrown {
  readonly name: string;
  readonly message: string;
  /** The errno of a connection. */
  readonly code?: unknown;
  /** Set when the server's answer was understood, and not cut short. */
  readonly $fault?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export interface Failure {
  /** The server's word, as AccessDenied, or an errno. */
  readonly name: string;
  /** Of an answer that arrived whole. */
  readonly status: number | undefined;
  readonly text: string;
}

const PASSING = new Set(
  (
    "SlowDown RequestTimeout RequestTimeTooSkewed Throttling ThrottlingException TooManyRequests InternalError " +
    "ServiceUnavailable ConditionalRequestConflict OperationAborted IncompleteBody BadDigest XAmzContentSHA256Mismatch " +
    "XAmzContentChecksumMismatch"
  ).split(" "),
);
const PASSING_STATUS = new Set([307, 408, 429]);
/** What the server cannot do, and what it has no room for. */
const LASTING_STATUS = new Set([501, 507]);

/** Failures on this side that no waiting mends. */
const PERMANENT =
  /^(?:CredentialsProviderError|TokenProviderError|ERR_TLS\w*|ERR_INVALID_URL|CERT_\w+|SELF_SIGNED_\w+|DEPTH_ZERO_\w+|UNABLE_TO_\w+)$/;
/** An address where nobody is. */
const NOBODY = new Set(["ENOTFOUND", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"]);
/** Times of the configuration of AWS: not one request was made. */
const NO_REGION = /region is missing/i;

/** Takes what is needed out of an error, and leaves behind what must not be shown: requests with their headers. */
export function failureOf(error: Error, secrets: readonly string[]): Failure {
  const { name, message, code, $fault, $metadata } = error as Thrown;
  const status = $fault === undefined ? undefined : $metadata?.httpStatusCode;
  const named = typeof code === "string" && status === undefined ? code : name;
  const shown = secrets.reduce((text, secret) => text.replaceAll(secret, "***"), message);
  return { name: named, status, text: shown === "UnknownError" ? `status ${status}` : shown };
}

/** Whether the same request may succeed later. `reached`: the server has answered before. */
export function isPassing({ name, status, text }: Failure, reached: boolean): boolean {
  if (PASSING.has(name)) return true;
  if (status !== undefined && status >= 300)
    return PASSING_STATUS.has(status) || (status >= 500 && !LASTING_STATUS.has(status));
  if (PERMANENT.test(name) || NO_REGION.test(text)) return false;
  return reached || !NOBODY.has(name); // an address where nobody ever was will not get better by waiting
}

/** Whether an object of that key is there already, and the request was on condition that it is not. */
export function isRefusedCondition({ name, status }: Failure): boolean {
  return name === "PreconditionFailed" || status === 412;
}

/** Whether the server does not know conditional writes, and says so. */
export function isUnknownCondition({ name, status }: Failure): boolean {
  return name === "NotImplemented" || status === 501;
}

/** A GET says what is not there: an object, or the bucket. Any other 404 is not the answer of S3. */
export function isNoSuchKey({ name }: Failure): boolean {
  return name === "NoSuchKey";
}

/** An object without bytes has no first ones. */
export function isNoSuchRange({ name, status }: Failure): boolean {
  return name === "InvalidRange" || status === 416;
}

/** The answer to a HEAD has no body, so that no 404 says what is not there. */
export function isNotFound({ status }: Failure): boolean {
  return status === 404;
}

export function isForbidden({ name, status }: Failure): boolean {
  return name === "AccessDenied" || status === 403;
}

const CREDENTIALS = "the credentials are wrong or have expired: check the access key, the secret and the session token";
const REGION = "the bucket is in another region: name it with `region`";
const HINTS: readonly (readonly [pattern: RegExp, hint: string])[] = [
  [/^(?:InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired)$/, CREDENTIALS],
  [/^(?:CredentialsProviderError|TokenProviderError)$/, "no credentials were found: set them, or `credentials`"],
  [/^NoSuchBucket$/, "create the bucket, or correct `bucket` and `endpoint`"],
  [/^(?:PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/, REGION],
  [/^InvalidObjectState$/, "the object is in an archive: restore it to a class that can be read, then try again"],
  [/^RequestTimeTooSkewed$/, "the clock of this machine is wrong: set it"],
  [/^(?:SlowDown|Throttling\w*|TooManyRequests)$/, "the server is asked too much: wait, then start again"],
  [
    /^(?:ENOTFOUND|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH)$/,
    "nobody is there: check `endpoint`, `region` and the network",
  ],
  [/^(?:ERR_TLS\w*|CERT_\w+|SELF_SIGNED_\w+|DEPTH_ZERO_\w+|UNABLE_TO_\w+)$/, "the certificate is not trusted here"],
];
const STATUS_HINTS: Readonly<Record<number, string>> = {
  301: REGION,
  403: "the credentials are wrong, or may not do this: they need GetObject, PutObject, DeleteObject and ListBucket",
  404: "check `bucket`, `endpoint` and `region`",
  413: "the server takes no objects of that size (16 MiB are needed)",
  501: "the server does not know this request: look at its documentation",
};
const FULL = /QuotaExceeded|StorageFull|InsufficientStorage|CapExceeded/i;

/** The failure as people see it. */
export function s3Failure(failure: Failure, where: string, attempts: number): PapyraError {
  const { name, status, text } = failure;
  const code: ErrorCode = FULL.test(name) || status === 507 ? "STORAGE_FULL" : "STORAGE_FAILED";
  const known = HINTS.find(([pattern]) => pattern.test(name))?.[1] ?? STATUS_HINTS[status ?? 0];
  const full = code === "STORAGE_FULL" ? "raise the quota or free some space, then start again" : undefined;
  const region = NO_REGION.test(text) ? "name a `region`" : undefined;
  const cause = Object.assign(new Error(text), { name });
  const said = name === "Error" || text.startsWith(name) ? text : `${name}: ${text}`;
  return new PapyraError(code, `cannot ${where}: ${said}`, {
    cause,
    hint: full ?? region ?? known ?? "look at the server and the network, then start again",
    details: { errno: name, status, attempts },
  });
}
