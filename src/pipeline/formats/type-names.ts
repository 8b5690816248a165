import { TersorError } from '../../errors.js';
import { gridFamilies, gridNames, knownGrid, onnxFamilies, vllmFamilies } from '../../grid/index.js';
import { nearest } from '../../method.js';
import { flagOf } from '../options/flags.js';
import type { OptionName } from '../options/rows.js';
import type { CompressOptions } from '../options.js';
import type { OutputFormat } from './format.js';
import { mixtureNames, mixtureType } from './mixtures.js';

/** Options whose value is a type; those with lists of them follow. */
const single = ['type', 'embeddingType', 'fallback'] as const;

/**
 * Makes sure, before a model is opened, that every type that the options name is one of the output's format.
 * @throws TersorError that says which name was meant, or which there are
 */
export function checkTypeNames(options: CompressOptions, format: OutputFormat): void {
  const { overrides = [], types = [] } = options;
  const named: readonly (readonly [OptionName, string | undefined])[] = [
    ...single.map((name) => [name, options[name]] as const),
    ...overrides.map(({ type }) => ['overrides', type] as const),
    // A pattern stands for many (src/grid/tersor/row-mix.ts).
    ...types.filter((type) => !type.includes('*')).map((type) => ['types', type] as const),
  ];
  for (const [option, type] of named)
    if (
      type !== undefined &&
      !(option === 'type' && holdsMixture(type, format)) &&
      !(format.findGrid?.(type) ?? knownGrid(type))
    )
      throw noSuchType(option, type, format);
}

/** Whether a name is one of llama.cpp's mixtures, and the format has their types. */
function holdsMixture(name: string, format: OutputFormat): boolean {
  const type = mixtureType(name);
  const grid = type === undefined ? undefined : knownGrid(type);
  return grid !== undefined && format.holds(grid);
}

function noSuchType(option: OptionName, type: string, format: OutputFormat): TersorError {
  const meant =
    mixtureType(type) ??
    nearest(type, [...namesOf(format), ...(option === 'type' ? mixturesOf(format) : [])]);
  return new TersorError(`${flagOf(option)}: there is no type ${type}`, {
    code: 'invalid-option',
    remedy: `${meant ? `did you mean ${meant}? ` : ''}choose one of ${format.types}`,
  });
}

const mixturesOf = (format: OutputFormat) => mixtureNames.filter((name) => holdsMixture(name, format));

/** Names that a format understands, of families some. */
function namesOf(format: OutputFormat): string[] {
  const examples = [...gridFamilies, ...onnxFamilies, ...vllmFamilies].flatMap((family) => family.examples);
  return [...new Set([...format.candidates, ...gridNames, ...examples])].filter((name) => {
    const grid = format.findGrid?.(name) ?? knownGrid(name);
    return grid && format.holds(grid);
  });
}
