/** What kind of failure it is, for programs; people get the message. */
export type ErrorCode =
  /** An option that does not exist, is out of range or contradicts another. */
  | 'invalid-option'
  /** A file that is corrupt, or not what it is given for. */
  | 'invalid-input'
  /** Sound, but nothing that tersor (or the runtime behind it) can do. */
  | 'unsupported'
  /** A file, folder, model or tensor that is not there. */
  | 'not-found'
  /** The file system refuses access. */
  | 'no-access'
  /** The disk is full. */
  | 'no-space'
  /** More memory is needed than there is, or than was allowed. */
  | 'no-memory'
  | 'download'
  /** What was written does not behave as it should; it was not kept. */
  | 'verification'
  | 'aborted';

/** What is known of a failure besides the problem itself. */
export interface ErrorDetails {
  /** Without one, the cause or the file decides: see `TersorError.code`. */
  readonly code?: ErrorCode | undefined;
  readonly file?: string | undefined;
  readonly tensor?: string | undefined;
  /** An imperative sentence without a full stop. */
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/**
 * Every failure a user can cause. The message is one line: what is wrong, where (file, tensor), and what
 * to do about it; the command line prints it as it stands and exits with code 1.
 */
export class TersorError extends Error {
  override readonly name = 'TersorError';
  /** The given one, or the system's where it is the cause; otherwise the input is at fault if a file is named, or an option. */
  readonly code: ErrorCode;
  /** What is wrong, without where and what to do. */
  readonly problem: string;
  readonly file: string | undefined;
  readonly tensor: string | undefined;
  readonly remedy: string | undefined;

  /**
   * @param problem what is wrong, without a full stop
   * @param details the file and tensor concerned, and the remedy
   */
  constructor(problem: string, details: ErrorDetails = {}) {
    const { code, file, tensor, remedy, cause } = details;
    const place = [file, tensor && `tensor ${tensor}`].filter(Boolean).join(': ');
    const line = `${place ? `${place}: ` : ''}${problem}${remedy ? `; ${remedy}` : ''}`;
    super(line.replace(unprintable, escaped), { cause });
    this.code = code ?? systemCode(cause) ?? (file || tensor ? 'invalid-input' : 'invalid-option');
    this.problem = problem;
    this.file = file;
    this.tensor = tensor;
    this.remedy = remedy;
  }
}

const systemCodes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found',
  EACCES: 'no-access',
  EPERM: 'no-access',
  EROFS: 'no-access',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  ENOMEM: 'no-memory',
};

/** Of an error of the operating system, or of another TersorError. */
function systemCode(cause: unknown): ErrorCode | undefined {
  if (cause instanceof TersorError) return cause.code;
  if (!(cause instanceof Error && 'code' in cause && typeof cause.code === 'string')) return undefined;
  return Object.hasOwn(systemCodes, cause.code) ? systemCodes[cause.code] : undefined;
}

/** Names come from files, and a file may hold anything: line breaks and what moves a terminal's cursor. */
const unprintable = /\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/gu;

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return `\\u${code.toString(16).padStart(4, '0')}`;
}
