import type { Llama, Pointer } from './llama-abi.js';

export interface GenerateOptions {
  /** Tokens to add to the prompt at most; 256 by default. */
  readonly maxTokens?: number;
  /** 0 takes the likeliest token each time; 0.8 by default. */
  readonly temperature?: number;
  /** Draws from the likeliest tokens that have this probability together; 0.95 by default. */
  readonly topP?: number;
  /** Draws from this many likeliest tokens; 40 by default. */
  readonly topK?: number;
  /** Seed of the draws; 1 by default. */
  readonly seed?: number;
  /** Ends the text early. */
  readonly signal?: AbortSignal;
  /** The prompt has all special tokens that it needs, as those of chat templates have. */
  readonly complete?: boolean;
}

/** How llama.cpp draws a token from logits; to be freed by llama_sampler_free. */
export function makeSampler(api: Llama, options: GenerateOptions): Pointer {
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
