import { TersorError } from '../errors.js';
import { compressedTensorsLayout, denseTensorsLayout } from '../grid/packed-int32/compressed-tensors.js';
import { gptqLayout, gptqSecondLayout } from '../grid/packed-int32/gptq.js';
import type { WordFormat, WordGrid } from '../grid/packed-int32/layout.js';
import { partsOf, wordGrid, wordsOf } from '../grid/packed-int32/packed-int32.js';
import { product, type StoredTensor } from './decode.js';
import { getIntact, isObject } from './file.js';
import type { QuantizedLayout } from './quantization-method.js';

/** The tensors that one weight is stored as, by what follows the layer's name. */
type Parts = ReadonlyMap<string, StoredTensor>;

/** A quantized layer before it is presented as its weight. */
interface Layer {
  readonly name: string;
  readonly parts: Parts;
  readonly file: string;
}

const gptqSuffixes = ['.qweight', '.qzeros', '.scales', '.g_idx'] as const;
const compressedSuffixes = [
  '.weight_packed',
  '.weight_scale',
  '.weight_zero_point',
  '.weight_shape',
  '.weight_g_idx',
] as const;
const scaleTypes = new Map([
  ['f16', 'F16'],
  ['bf16', 'BF16'],
  ['f32', 'F32'],
] as const);

/**
 * The tensors of a checkpoint of GPTQ's or compressed-tensors' kind as the weights that they stand for: of layers in
 * 32-bit words `<layer>.weight`, the others as they are. Checkpoints of another kind are returned unchanged.
 * @param config config.json's contents
 * @throws TersorError when parts of a layer are missing or do not belong together
 */
export async function presentQuantized(
  tensors: readonly StoredTensor[],
  config: Readonly<Record<string, unknown>>,
  layout: QuantizedLayout | undefined,
): Promise<readonly StoredTensor[]> {
  const { quantization_config: quantization } = config;
  if (!layout || !isObject(quantization)) return tensors;
  // GPT-2's weights are [in, out] to Hugging Face.
  const transposed = config.model_type === 'gpt2';
  if (layout === 'gptq') {
    return present(tensors, gptqSuffixes, transposed, (layer) => gptqFormat(layer, quantization));
  }
  return present(tensors, compressedSuffixes, transposed, (layer) => compressedFormat(layer, quantization));
}

/** What a layer is, once its parts were looked at. */
interface LayerFormat {
  readonly format: WordFormat;
  readonly rows: number;
  readonly cols: number;
}

async function present(
  tensors: readonly StoredTensor[],
  suffixes: readonly [string, ...string[]],
  transposed: boolean,
  inspect: (layer: Layer) => Promise<LayerFormat>,
): Promise<StoredTensor[]> {
  const [codes] = suffixes;
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const layers = tensors.flatMap(({ name }) => (name.endsWith(codes) ? [name.slice(0, -codes.length)] : []));
  const presented: StoredTensor[] = [];
  const taken = new Set<string>();
  for (const name of layers) {
    const parts = new Map(
      suffixes.flatMap((suffix) => {
        const part = byName.get(name + suffix);
        if (part) taken.add(part.name);
        return part ? [[suffix, part] as const] : [];
      }),
    );
    const file = parts.get(codes)?.file.path ?? '';
    const found = await inspect({ name, parts, file });
    presented.push(weightOf({ name, parts, file }, found, transposed));
  }
  return [...tensors.filter(({ name }) => !taken.has(name)), ...presented];
}

/** A layer's weight, whose bytes are those of all parts one after another. */
function weightOf(layer: Layer, { format, rows, cols }: LayerFormat, transposed: boolean): StoredTensor {
  const grid: WordGrid = wordGrid(format);
  const wanted = partsOf(grid, rows, cols);
  const name = `${layer.name}.weight`;
  for (const { suffix, shape, dtype } of wanted) {
    const part = layer.parts.get(suffix);
    if (suffix === '.g_idx' || suffix === '.weight_shape') continue;
    if (part?.shape.join() !== shape.join() || part.type !== dtype.toLowerCase())
      throw new TersorError(
        part
          ? `${suffix.slice(1)} is ${part.type} [${part.shape}] where ${format.name} of ${rows} × ${cols} weights has ${dtype} [${shape}]`
          : `there is no ${suffix.slice(1)}`,
        { file: layer.file, tensor: name, remedy: getIntact },
      );
  }
  const [first] = layer.parts.values();
  if (!first) throw new Error(`${layer.name} has no parts`);
  return {
    name,
    shape: transposed ? [cols, rows] : [rows, cols],
    type: format.name,
    bytes: [...layer.parts.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    file: first.file,
    offset: first.offset,
    grid,
    ...(transposed ? { transposed } : {}),
    async gather() {
      const bytes = new Uint8Array(grid.bytes(rows, cols));
      let at = 0;
      for (const { suffix, bytes: size } of wanted) {
        const part = layer.parts.get(suffix);
        if (part?.bytes === size) await part.file.read(part.offset, bytes.subarray(at, at + size), part.name);
        at += size;
      }
      return bytes;
    },
  };
}

async function gptqFormat(layer: Layer, config: Readonly<Record<string, unknown>>): Promise<LayerFormat> {
  const [codes, zeros] = [part(layer, '.qweight'), part(layer, '.qzeros')];
  const scales = part(layer, '.scales');
  const [groups = 0, rows = 0] = scales.shape;
  const bits = ((zeros.shape[1] ?? 0) * 32) / rows;
  const cols = ((codes.shape[0] ?? 0) * 32) / bits;
  if (![2, 3, 4, 8].includes(bits)) throw corrupt(layer, `has zero points of ${bits} bits`);
  const layout = config.checkpoint_format === 'gptq_v2' ? gptqSecondLayout : gptqLayout;
  const order = layer.parts.get('.g_idx');
  const about = { layout, bits, affine: true, scaleType: scaleType(layer, scales) };
  const shape = { groups, rows, cols };
  return describe(layer, about, shape, order ? await integers(order) : undefined, config.sym === true);
}

async function compressedFormat(
  layer: Layer,
  config: Readonly<Record<string, unknown>>,
): Promise<LayerFormat> {
  const [rows = 0, cols = 0] = await integers(part(layer, '.weight_shape'));
  const codes = part(layer, '.weight_packed');
  const scales = part(layer, '.weight_scale');
  const bits = schemeOf(layer, config).num_bits;
  if (typeof bits !== 'number' || ![2, 3, 4, 5, 6, 7, 8].includes(bits))
    throw corrupt(layer, `is in words, but the configuration says that it has ${bits} bits`);
  const apart = codes.shape[1] === wordsOf(cols, bits, false);
  const layout = apart ? compressedTensorsLayout : denseTensorsLayout;
  const affine = layer.parts.has('.weight_zero_point');
  const order = layer.parts.get('.weight_g_idx');
  const about = { layout, bits, affine, scaleType: scaleType(layer, scales) };
  const shape = { groups: scales.shape[1] ?? 0, rows, cols };
  return describe(layer, about, shape, order ? await integers(order) : undefined, !affine);
}

/** The settings of the group of layers that a layer belongs to: by its name before its class. */
function schemeOf({ name }: Layer, { config_groups: groups }: Readonly<Record<string, unknown>>) {
  const schemes = isObject(groups) ? Object.values(groups).filter(isObject) : [];
  const matches = (target: unknown) =>
    target === name ||
    (typeof target === 'string' &&
      target.startsWith('re:') &&
      new RegExp(`^(?:${target.slice(3)})`).test(name));
  const targets = ({ targets: list }: Readonly<Record<string, unknown>>) => (Array.isArray(list) ? list : []);
  const found =
    schemes.find((scheme) => targets(scheme).some(matches)) ??
    schemes.find((scheme) => targets(scheme).includes('Linear'));
  return isObject(found?.weights) ? found.weights : {};
}

/** Groups of columns that lie one after another, or as an order says. */
function describe(
  layer: Layer,
  about: Pick<WordFormat, 'layout' | 'bits' | 'affine' | 'scaleType'>,
  { groups, rows, cols }: { readonly groups: number; readonly rows: number; readonly cols: number },
  order: number[] | undefined,
  symmetric: boolean,
): LayerFormat {
  if (!Number.isInteger(cols) || !(cols > 0) || cols % groups !== 0)
    throw corrupt(layer, `has ${groups} groups of scales for ${cols} columns`);
  const groupSize = groups === 1 ? Number.POSITIVE_INFINITY : cols / groups;
  const regular = !order || order.every((group, col) => group === Math.floor(col / groupSize));
  if (order && (order.length !== cols || order.some((group) => !(group >= 0 && group < groups))))
    throw corrupt(layer, `has columns in groups that there are no scales for`);
  const sharing = groups === 1 ? 'channel' : `g${groupSize}`;
  return {
    rows,
    cols,
    format: {
      ...about,
      name: `int${about.bits}-${sharing}${symmetric ? '' : '-asym'}`,
      groupSize,
      ...(regular ? {} : { groupOf: Int32Array.from(order) }),
    },
  };
}

function part(layer: Layer, suffix: string): StoredTensor {
  const found = layer.parts.get(suffix);
  if (found) return found;
  throw corrupt(layer, `there is no ${suffix.slice(1)}`);
}

function scaleType(layer: Layer, { type }: StoredTensor): WordFormat['scaleType'] {
  const found = scaleTypes.get(type as 'f16');
  if (found) return found;
  throw corrupt(layer, `has scales of the type ${type}`);
}

const corrupt = ({ name, file }: Layer, problem: string) =>
  new TersorError(problem, { file, tensor: `${name}.weight`, remedy: getIntact });

/** A small tensor of whole numbers. */
async function integers({ file, offset, type, shape, bytes, name }: StoredTensor): Promise<number[]> {
  const data = new Uint8Array(bytes);
  await file.read(offset, data, name);
  const view = new DataView(data.buffer);
  return Array.from({ length: product(shape) }, (_, i) =>
    type === 'i64' ? Number(view.getBigInt64(8 * i, true)) : view.getInt32(4 * i, true),
  );
}
