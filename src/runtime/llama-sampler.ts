import type { Llama, Pointer } from './llama-abi.js';
import type { SamplingOptions } from './sampling.js';

export interface GenerateOptions extends SamplingOptions {
  /** Tokens to add to the prompt at most; 256 by default. */
  readonly maxTokens?: number;
  /** Ends the text early. */
  readonly signal?: AbortSignal;
  /** The prompt has all special tokens that it needs, as those of chat templates have. */
  readonly complete?: boolean;
}

/** How llama.cpp draws a token from logits; to be freed by llama_sampler_free. */
export function makeSampler(api: Llama, options: SamplingOptions): Pointer {
  const { temperature = 0.8, topP = 0.95, topK = 40, seed = 1 } = options;
  const chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params());
  const stages =
    temperature <= 0
      ? [api.llama_sampler_init_greedy()]
      : [
          api.llama_sampler_init_top_k(topK),
          api.llama_sampler_init_top_p(topP, 1),
          api.llama_sampler_init_temp(temperature),
          api.llama_sampler_init_dist(seed),
        ];
  for (const stage of stages) api.llama_sampler_chain_add(chain, stage);
  return chain;
}
