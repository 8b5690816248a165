import type { z } from 'zod';
import { TersorError } from '../errors.js';
import { parseConfig } from './config.js';

/**
 * Keys of a config.json that change nothing of what a model computes from its tokens: where it comes from, how it was
 * trained and is to be trained on, what `generate` does by default, which tokens have a meaning.
 */
const harmless = new Set([
  // provenance
  ...['architectures', 'auto_map', 'dtype', 'torch_dtype', 'model_type', 'transformers_version'],
  ...[
    '_name_or_path',
    '_commit_hash',
    '_attn_implementation',
    '_attn_implementation_autoset',
    'name_or_path',
  ],
  ...[
    'transformers.js_config',
    'unsloth_fixed',
    'unsloth_version',
    'finetuning_task',
    'task_specific_params',
  ],
  ...['is_llama_config', 'model_name', 'license', 'base_model_name_or_path', 'custom_pipelines'],
  // how it is run: caches, returned values, parallel layouts (Llama's pretraining_tp gives the same sums)
  ...['use_cache', 'cache_implementation', 'output_attentions', 'output_hidden_states', 'return_dict'],
  ...['return_dict_in_generate', 'output_scores', 'torchscript', 'use_bfloat16', 'pretraining_tp', 'tp_plan'],
  ...[
    'base_model_tp_plan',
    'base_model_pp_plan',
    'chunk_size_feed_forward',
    'tf_legacy_loss',
    'pruned_heads',
  ],
  ...['reorder_and_upcast_attn', 'tie_encoder_decoder', 'is_encoder_decoder', 'add_cross_attention'],
  ...['cross_attention_hidden_size', 'vocab_size', 'tie_word_embeddings', 'quantization_config'],
  ...['compression_config'],
  // training
  ...['initializer_range', 'initializer_factor', 'attention_dropout', 'hidden_dropout', 'embd_pdrop'],
  ...[
    'attn_pdrop',
    'resid_pdrop',
    'hidden_dropout_prob',
    'attention_probs_dropout_prob',
    'classifier_dropout',
  ],
  ...['gradient_checkpointing', 'problem_type', 'id2label', 'label2id', 'num_labels', 'layerdrop'],
  ...['summary_activation', 'summary_first_dropout', 'summary_proj_to_labels', 'summary_type'],
  ...['summary_use_proj', 'router_jitter_noise', 'router_aux_loss_coef', 'output_router_logits'],
  // tokens
  ...['bos_token_id', 'eos_token_id', 'pad_token_id', 'sep_token_id', 'unk_token_id', 'cls_token_id'],
  ...['mask_token_id', 'decoder_start_token_id', 'forced_bos_token_id', 'forced_eos_token_id'],
  ...['tokenizer_class', 'prefix', 'suppress_tokens', 'begin_suppress_tokens', 'bad_words_ids'],
  // what generate does by default
  ...['max_length', 'min_length', 'max_new_tokens', 'do_sample', 'early_stopping', 'num_beams'],
  ...['num_beam_groups', 'diversity_penalty', 'temperature', 'top_k', 'top_p', 'typical_p'],
  ...['repetition_penalty', 'length_penalty', 'no_repeat_ngram_size', 'encoder_no_repeat_ngram_size'],
  ...['num_return_sequences', 'exponential_decay_length_penalty', 'remove_invalid_values'],
]);

/** What tersor writes about a file beside its configuration. */
const isOwn = (key: string): boolean => key.startsWith('tersor.');

/** Whether a setting says that something is not used. */
const isUnset = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === false ||
  value === 0 ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/**
 * Reads a family's config.json. A key that the family's schema does not know may change what the model computes: unless
 * it is known not to, or says that something is not used, it is refused.
 * @throws TersorError that names the key
 */
export function parseHuggingFace<S extends z.ZodObject>(
  schema: S,
  config: unknown,
  file: string,
): z.infer<S> {
  const parsed = parseConfig(schema, config, file);
  for (const [key, value] of Object.entries(config as object)) {
    if (key in schema.shape || harmless.has(key) || isOwn(key) || isUnset(value)) continue;
    throw new TersorError(
      `config.json sets ${key} to ${shortened(value)}, which may change what the model computes, and tersor does not know it`,
      {
        code: 'unsupported',
        file,
        remedy: `if it changes nothing, remove ${key} from config.json`,
      },
    );
  }
  return parsed as z.infer<S>;
}

const shortened = (value: unknown): string => {
  const text = JSON.stringify(value) ?? '';
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
};
