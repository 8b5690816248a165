import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import { TersorError } from '../../errors.js';
import { type Grid, isCoded } from '../../grid/grid.js';
import { findGrid } from '../../grid/index.js';
import { spellOut } from '../../grid/tersor/row-mix.js';
import type { OutputFormat } from '../formats/format.js';
import type { CompressOptions, Override } from '../options.js';
import type { Assignment } from './plan.js';

/**
 * A type for every tensor; nothing is silently changed.
 * @param typeOf the type of tensors that no override names
 */
export function assign(
  model: Model,
  format: OutputFormat,
  typeOf: (spec: TensorSpec) => string,
  options: CompressOptions,
): Assignment[] {
  const grid = (type: string) => gridFor(format, type);
  const { overrides = [], fallback } = options;
  const unused = new Set(overrides);
  const assignments = model.architecture.tensors.map((spec): Assignment => {
    const [rows, cols] = matrixShape(spec);
    const override = findOverride(spec, overrides);
    if (override) unused.delete(override);
    const requestedType = override?.type ?? typeOf(spec);
    const requested = grid(requestedType);
    const reason = obstacle(requested, spec);
    const replacement = reason && fallback ? grid(fallback) : requested;
    const stillWrong = obstacle(replacement, spec);
    if (reason && fallback && stillWrong) {
      throw new TersorError(`the fallback ${fallback} does not fit either: ${stillWrong}`, {
        code: 'invalid-option',
        file: model.checkpoint.path,
        tensor: format.nameOf(model, spec),
        remedy: `choose another --fallback, such as ${format.fallbacks}`,
      });
    }
    return {
      spec,
      grid: replacement,
      name: format.nameOf(model, spec),
      type: replacement.name,
      requestedType,
      bytes: stillWrong ? 0 : replacement.bytes(rows, cols),
      elements: rows * cols,
      ...(reason ? { reason } : {}),
    };
  });
  const [stray] = unused;
  if (stray) throw uselessOverride(model, stray, overrides);
  return assignments;
}

/** Why an override decides on nothing: no tensor has such a name, or later ones take all that have. */
function uselessOverride(
  { checkpoint, architecture }: Model,
  stray: Override,
  overrides: readonly Override[],
) {
  const matched = architecture.tensors.find((spec) => findOverride(spec, [stray]));
  const winner = matched && findOverride(matched, overrides);
  const file = checkpoint.path;
  if (!winner) {
    return new TersorError(`${flagOf(stray)} matches no tensor`, {
      code: 'invalid-option',
      file,
      remedy: 'see tersor inspect for the names',
    });
  }
  return new TersorError(
    `${flagOf(stray)} and ${flagOf(winner)} contradict each other: the later names every tensor of the first`,
    { code: 'invalid-option', file, remedy: 'drop one of them, or give the narrower last' },
  );
}

/** An override as it was given. */
export const flagOf = ({ pattern, type }: Override): string => `--override ${pattern.source}=${type}`;

/** The last override that names a tensor counts. */
function findOverride(spec: TensorSpec, overrides: readonly Override[]): Override | undefined {
  return overrides.findLast(({ pattern }) => Object.values(spec.names).some((name) => pattern.test(name)));
}

/** What a search may choose from for a tensor. */
export function candidateGrids(
  { checkpoint }: Model,
  format: OutputFormat,
  spec: TensorSpec,
  { overrides = [], embeddingType: embedding, types = format.candidates }: CompressOptions,
): Grid[] {
  const searched = spec.kind === 'linear' || spec.kind === 'embedding' || spec.kind === 'head';
  const fixed =
    findOverride(spec, overrides)?.type ??
    (spec.kind === 'linear' ? undefined : searched ? embedding : 'f32');
  const grids = (fixed ? [fixed] : spellOut(types))
    .map((type) => gridFor(format, type))
    .filter((grid) => !obstacle(grid, spec));
  if (grids.length > 0) return grids;
  throw new TersorError(
    `none of the types ${fixed ?? types.join(', ')} fits its rows of ${spec.shape.at(-1)}`,
    {
      code: 'invalid-option',
      file: checkpoint.path,
      tensor: spec.names.gguf,
      remedy: `allow types with smaller blocks, such as ${format.fallbacks}`,
    },
  );
}

/** Type by kind of tensor; kinds that are not named stay f32. */
export type RequestedTypes = Readonly<Partial<Record<TensorSpec['kind'] | 'sharedExpert', string>>>;

export const requestedType = (types: RequestedTypes, { kind, sharedExpert }: TensorSpec): string =>
  types[sharedExpert ? 'sharedExpert' : kind] ?? 'f32';

/** What the options ask for, with the defaults of the command line. */
export function requestedTypes(
  model: Model,
  format: OutputFormat,
  options: CompressOptions,
  warn?: (line: string) => void,
): RequestedTypes {
  const linear = options.type ?? format.defaultType(fitting(model, ['linear']));
  if (!options.type) warn?.(`no --type given: taking ${linear}`);
  // What is stored as plain numbers stays so everywhere, and eight bits stay eight.
  const precise = (fits: (type: string) => boolean) =>
    !isCoded(findGrid(linear)) || linear === 'q8_0' ? linear : format.defaultEmbeddingType(fits);
  const embedding = options.embeddingType ?? precise(fitting(model, ['embedding', 'head']));
  // Every token passes through it, and it is small beside the others.
  const fits = fittingAll(model, (spec) => spec.sharedExpert === true);
  const preferred = precise(fits);
  const sharedExpert = fits(preferred) ? preferred : 'f16';
  return { linear, embedding, head: embedding, sharedExpert };
}

/** Whether a type's blocks divide every row of the tensors of some kinds. */
const fitting = (model: Model, kinds: readonly TensorSpec['kind'][]) =>
  fittingAll(model, ({ kind }) => kinds.includes(kind));

function fittingAll({ architecture }: Model, which: (spec: TensorSpec) => boolean) {
  const specs = architecture.tensors.filter(which);
  return (type: string) => specs.every((spec) => !obstacle(findGrid(type), spec));
}

function gridFor(format: OutputFormat, type: string): Grid {
  const found = format.findGrid?.(type) ?? findGrid(type);
  if (format.holds(found)) return found;
  throw new TersorError(`${format.name} cannot hold the type ${type}`, {
    remedy: `choose one of ${format.types}, or write with --format safetensors`,
  });
}

/** Why a grid cannot hold a tensor, if it cannot. */
function obstacle(candidate: Grid, spec: TensorSpec): string | undefined {
  const [rows, cols] = matrixShape(spec);
  const { rowMultiple = 1, linearOnly } = candidate;
  if (linearOnly && spec.kind !== 'linear')
    return `it is no linear layer of a block, and runtimes load only those as ${candidate.name}`;
  if (rows % rowMultiple !== 0)
    return `its ${rows} rows are not divisible by ${candidate.name}'s ${rowMultiple}`;
  if (cols % candidate.blockSize === 0) return undefined;
  return `its rows of ${cols} are not divisible by ${candidate.name}'s blocks of ${candidate.blockSize}`;
}
