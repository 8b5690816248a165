import { TersorError } from '../../errors.js';
import { getIntact, type RangedFile } from '../file.js';
import { type GgufHeader, readGgufHeader } from './header.js';

/** One file of a model, or the only one. */
export interface GgufPart {
  readonly file: RangedFile;
  readonly header: GgufHeader;
}

const keys = { number: 'split.no', count: 'split.count', tensors: 'split.tensors.count' } as const;

/** Metadata but for what tells how the model was split, which is not true of it as a whole. */
export function withoutSplit(metadata: GgufHeader['metadata']): GgufHeader['metadata'] {
  const whole: Record<string, unknown> = Object.create(null);
  for (const [key, value] of Object.entries(metadata))
    if (!Object.values<string>(keys).includes(key)) whole[key] = value;
  return whole;
}

/**
 * The files of a model that llama.cpp's `gguf-split` cut into parts, NAME-00001-of-00003.gguf and so on: the first has the
 * metadata, and all have tensors.
 * @param first the file that was asked for
 * @throws TersorError when that is another part, or when parts are missing or do not belong together
 */
export async function openParts(
  first: GgufPart,
  open: (path: string) => Promise<RangedFile>,
): Promise<GgufPart[]> {
  const { path } = first.file;
  const count = numberOf(first.header, keys.count) ?? 1;
  if (count <= 1) return [first];
  const name = partName(path, count);
  const number = numberOf(first.header, keys.number) ?? 0;
  if (number !== 0)
    throw new TersorError(`is part ${number + 1} of ${count} of a model`, {
      code: 'unsupported',
      file: path,
      remedy: name ? `give the first part, ${name(0)}` : 'give the first part',
    });
  if (!name)
    throw new TersorError(
      `is one of ${count} parts of a model, and its name does not tell those of the others`,
      {
        code: 'unsupported',
        file: path,
        remedy: `name the parts as gguf-split does (…-00001-of-${padded(count)}.gguf), or join them with llama-gguf-split --merge`,
      },
    );
  const parts = [first];
  for (let at = 1; at < count; at++) {
    const file = await open(name(at));
    const header = await readGgufHeader(file);
    if (numberOf(header, keys.number) !== at || numberOf(header, keys.count) !== count)
      throw new TersorError(`is not part ${at + 1} of ${count} of the model`, {
        file: file.path,
        remedy: 'get all parts from the same place',
      });
    parts.push({ file, header });
  }
  checkTensors(parts);
  return parts;
}

function checkTensors(parts: readonly GgufPart[]): void {
  const [{ file, header } = missing()] = parts;
  const seen = new Set<string>();
  for (const part of parts)
    for (const { name } of part.header.tensors) {
      if (seen.has(name))
        throw new TersorError('occurs twice', { file: part.file.path, tensor: name, remedy: getIntact });
      seen.add(name);
    }
  const expected = numberOf(header, keys.tensors);
  if (expected !== undefined && expected !== seen.size)
    throw new TersorError(`its parts have ${seen.size} tensors, not the ${expected} that it speaks of`, {
      file: file.path,
      remedy: 'get all parts from the same place',
    });
}

function missing(): never {
  throw new Error('a model has at least one part');
}

const numberOf = ({ metadata }: GgufHeader, key: string): number | undefined => {
  const value = metadata[key];
  return typeof value === 'number' ? value : undefined;
};

const padded = (value: number): string => String(value).padStart(5, '0');

/** Names of the parts by their index from 0, where the path of one of them shows how they are named. */
function partName(path: string, count: number): ((at: number) => string) | undefined {
  const match = /^(.*)-\d{5}-of-(\d{5})\.gguf$/s.exec(path);
  if (match?.[2] !== padded(count)) return undefined;
  return (at) => `${match[1]}-${padded(at + 1)}-of-${padded(count)}.gguf`;
}
