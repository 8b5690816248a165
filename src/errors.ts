/**
 * Every failure a user can cause. The message is one line: what is wrong, where (file, tensor), and what
 * to do about it; the command line prints it as it stands and exits with code 1.
 */
export class TersorError extends Error {
  override readonly name = 'TersorError';
  readonly file: string | undefined;
  readonly tensor: string | undefined;

  /**
   * @param problem what is wrong, without a full stop
   * @param where the file and tensor concerned, and the remedy as an imperative sentence
   */
  constructor(
    problem: string,
    where: {
      file?: string | undefined;
      tensor?: string | undefined;
      remedy?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    const place = [where.file, where.tensor && `tensor ${where.tensor}`].filter(Boolean).join(': ');
    const line = `${place ? `${place}: ` : ''}${problem}${where.remedy ? `; ${where.remedy}` : ''}`;
    super(line.replace(unprintable, escaped), { cause: where.cause });
    this.file = where.file;
    this.tensor = where.tensor;
  }
}

/** Names come from files, and a file may hold anything: line breaks and what moves a terminal's cursor. */
const unprintable = /\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/gu;

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return `\\u${code.toString(16).padStart(4, '0')}`;
}
