import { TersorError } from '../errors.js';

/** Lines that are looked at before a text is taken for JSON. */
const beginning = 3;

/** Whether a text is JSON lines, one object each: by the file's name, or because it begins so. */
export function isJsonLines(path: string, text: string): boolean {
  if (/\.(jsonl|ndjson)$/i.test(path)) return true;
  const lines = text
    .slice(0, 1 << 16)
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, beginning);
  return lines.length === beginning && lines.every((line) => objectIn(line) !== undefined);
}

/**
 * The texts of JSON lines, as data sets have them: `text` of every object, in their order, a line feed between two.
 * @throws TersorError that names the first line without one
 */
export function textOfJsonLines(path: string, text: string): string {
  return text
    .split('\n')
    .flatMap((line, index) => (line.trim() === '' ? [] : [{ line, number: index + 1 }]))
    .map(({ line, number }) => {
      const object = objectIn(line);
      if (typeof object?.text === 'string') return object.text;
      throw new TersorError(
        object
          ? `line ${number} has no "text"`
          : `line ${number} is no JSON object, as those of JSON lines are`,
        { file: path, remedy: 'give plain text, or JSON lines with the text of each under "text"' },
      );
    })
    .join('\n');
}

function objectIn(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
