import { TersorError } from '../errors.js';
import type { StoredTensor } from './decode.js';
import { isObject } from './file.js';

/** How layers of a quantized checkpoint lie in its tensors. */
export type QuantizedLayout = 'gptq' | 'compressed-tensors';

/**
 * What config.json says of quantized weights.
 * @param file config.json, for messages
 * @returns nothing for a checkpoint whose weights are plain numbers
 * @throws TersorError that names a method, or a format of a method, that is not read: its codes are no weights
 */
export function quantizedLayout(
  { quantization_config: quantization }: Readonly<Record<string, unknown>>,
  file: string,
): QuantizedLayout | undefined {
  if (!isObject(quantization)) return undefined;
  const { quant_method: method, packing_format: packing } = quantization;
  switch (method) {
    case 'gptq':
      return 'gptq';
    case 'auto-round':
      // AutoRound writes the tensors of other methods and says whose (auto_round/export).
      if (isGptq(packing)) return 'gptq';
      throw notRead(`auto-round (${String(packing)})`, file);
    case 'compressed-tensors': {
      const unread = formatsOf(quantization).find((format) => !packedFormats.includes(format));
      if (unread === undefined) return 'compressed-tensors';
      throw notRead(`compressed-tensors (${unread})`, file);
    }
    default:
      throw notRead(String(method ?? 'a method without a name'), file);
  }
}

const isGptq = (packing: unknown): boolean =>
  packing === 'auto_round:auto_gptq' || packing === 'auto_round:gptq';

/** Of compressed-tensors; in `dense`, weights are plain. */
const packedFormats = ['pack-quantized', 'dense'];

/** The format, or those of the groups where each has its own. */
function formatsOf({ format, config_groups: groups }: Readonly<Record<string, unknown>>): string[] {
  const own = Object.values(isObject(groups) ? groups : {}).flatMap((group) =>
    isObject(group) && typeof group.format === 'string' ? [group.format] : [],
  );
  if (own.length > 0) return own;
  return typeof format === 'string' ? [format] : [];
}

const notRead = (method: string, file: string) =>
  new TersorError(`the weights are quantized by ${method}, which is not read`, {
    code: 'unsupported',
    file,
    remedy: 'get the original model, or one in the format of GPTQ or compressed-tensors (pack-quantized)',
  });

const integer = /^[iu]\d+$/;

/**
 * Codes are no weights: without their scales they would be read as numbers that the model never had.
 * @param tensors those of the model, once layers of methods that are read have become weights
 * @throws TersorError that names the first weight of integers
 */
export function refuseBareCodes(tensors: readonly StoredTensor[]): void {
  const codes = tensors.find(
    ({ name, type, shape }) => /\.weight$/.test(name) && integer.test(type) && shape.length > 1,
  );
  if (codes)
    throw new TersorError(
      'holds integers, which are no weights without the scales of a method that is read',
      {
        code: 'unsupported',
        file: codes.file.path,
        tensor: codes.name,
        remedy: 'get the original model, or one in the format of GPTQ or compressed-tensors (pack-quantized)',
      },
    );
}
