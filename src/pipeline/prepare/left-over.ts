import type { Model } from '../../architecture/model.js';
import { TersorError } from '../../errors.js';
import { isCoded } from '../../grid/grid.js';
import { knownGrid } from '../../grid/index.js';

/** What checkpoints hold besides weights: tables and masks that code computes by itself. */
const buffers =
  /(^|\.)(inv_freq|rope_freqs|rotary_emb\..*|position_ids|token_type_ids|masked_bias|attn\.bias|bias_mask)(\.weight)?$/;
/** Heads of classifiers, of rewards and of answers, which are what such a model is for. */
const heads = /^(.*\.)?(classifier|score|qa_outputs|v_head|value_head|reward_head)\./;
/** Adapters that change the weights beside them. */
const adapters = /(^|\.)(lora_(A|B|E|a|b|embedding_[AB]|magnitude_vector)|base_layer|adapter_\w+)(\.|$)/;

/**
 * What a person should know of a checkpoint's tensors: that some are left out, or that weights are rounded already.
 * @throws TersorError for adapters, without which the model would be another
 */
export function leftOver({ checkpoint, architecture, nameOf }: Model): string[] {
  const used = new Set(architecture.tensors.map(nameOf));
  // A head that is the embedding once more.
  if (architecture.tied) for (const name of ['lm_head.weight', 'output.weight']) used.add(name);
  for (const { name } of architecture.ggufExtras()) used.add(name);
  const others = [...checkpoint.tensors.keys()].filter((name) => !used.has(name) && !buffers.test(name));
  const head = others.find((name) => heads.test(name));
  if (head)
    throw new TersorError('belongs to a head that is not supported and would be left out', {
      code: 'unsupported',
      file: checkpoint.path,
      tensor: head,
      remedy: 'use the model that this one was made from, or remove the tensors of the head',
    });
  const adapter = others.find((name) => adapters.test(name));
  if (adapter)
    throw new TersorError('is part of an adapter that is not merged into the weights', {
      code: 'unsupported',
      file: checkpoint.path,
      tensor: adapter,
      remedy: 'merge the adapter first (merge_and_unload of peft), or remove its tensors',
    });
  return [...ignored(others), ...rounded({ checkpoint, architecture, nameOf })];
}

function ignored([first, ...rest]: readonly string[]): string[] {
  if (first === undefined) return [];
  const more = rest.length > 0 ? ` and ${rest.length} more are` : ' is';
  return [`${first}${more} left out: this model's code does not use what is stored there`];
}

/** Rounding twice adds errors up. */
function rounded({
  checkpoint,
  architecture,
  nameOf,
}: Pick<Model, 'checkpoint' | 'architecture' | 'nameOf'>) {
  const types = architecture.tensors
    .filter(({ kind }) => kind === 'linear')
    .map((spec) => checkpoint.tensors.get(nameOf(spec))?.type ?? 'f32');
  const coded = [...new Set(types)].filter((type) => {
    const grid = knownGrid(type);
    return grid && isCoded(grid);
  });
  if (coded.length === 0) return [];
  return [
    `the model is quantized already (${coded.join(', ')}), and errors add up: from the original comes a better file`,
  ];
}
