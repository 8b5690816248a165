import {
  choice,
  count,
  number,
  numberChoice,
  numberOr,
  type OptionRow,
  overrides,
  seed,
  settings,
  size,
  switched,
  text,
  word,
  words,
} from './row.js';

const noStack = { not: ['stack'] } as const;
const onnxOnly = { only: ['onnx'] } as const;

/**
 * Every option of `compress` and `plan` that is no path, in the order of the help. The type of options, their checks, the
 * command line, recipes and the keys of solved tensors are derived from these rows.
 */
export const optionRows = {
  /** `gguf`, `stack`, `onnx`, `gptq`, `compressed-tensors` or `safetensors`; by default as the output's extension says. */
  format: text({
    group: 'What to do:',
    placeholder: 'format',
    help: "gguf, stack, onnx (a folder for transformers.js), gptq or compressed-tensors (folders for vLLM), safetensors (tersor's own)",
  }),
  /** ONNX: the type that activations, keys and values have; f32 by default. */
  activations: choice(['f32', 'f16'], {
    group: 'What to do:',
    placeholder: 'type',
    help: 'onnx: type of activations, f32 (default) or f16',
    recipe: { decides: 'output' },
    formats: onnxOnly,
  }),
  /** ONNX: 4 lets onnxruntime round activations to 8 bits, which is faster and less exact; 0 by default. */
  accuracyLevel: numberChoice([0, 4], {
    group: 'What to do:',
    placeholder: 'n',
    help: 'onnx: 4 rounds activations to 8 bits (default: 0)',
    recipe: { decides: 'output' },
    formats: onnxOnly,
  }),
  /** GGUF: what the model is called (`general.name`); by default as the model's file or folder is. */
  name: text({
    group: 'What to do:',
    placeholder: 'text',
    help: 'gguf: name of the model (default: that of its file or folder)',
    recipe: { decides: 'output' },
    formats: { only: ['gguf'] },
  }),
  /**
   * How much time quality may cost: `quick`, `balanced` (the default), `thorough`, or minutes on this machine. Decides on
   * solver, outputs to match and calibration tokens where they are left open (src/pipeline/prepare/effort.ts).
   */
  effort: numberOr(['quick', 'balanced', 'thorough'], [0.1, 1e6], {
    group: 'What to do:',
    placeholder: 'level',
    help: 'time that quality may cost: quick, balanced (default), thorough, or minutes',
    formats: noStack,
  }),
  /** In place of a type: the best model whose file has at most so many bytes. */
  size: size({
    group: 'How small (one of these):',
    placeholder: 'size',
    help: 'the best model of at most this file size, such as 14MB',
    recipe: { decides: 'types' },
  }),
  /** In place of a type: the best model with at most so many bits per weight on average, embedding included. */
  bits: number(0.5, 32, {
    group: 'How small (one of these):',
    placeholder: 'n',
    help: 'the same by bits per weight, embedding included',
    recipe: { decides: 'types' },
  }),
  /**
   * In place of a type: the smallest model whose mean KL divergence on held-out text is expected to stay below, or of an
   * encoder the mean of one less the cosine of its embeddings with the original's.
   */
  maxDivergence: number(1e-6, 100, {
    group: 'How small (one of these):',
    placeholder: 'n',
    help: 'the smallest whose KL divergence is expected to stay below this (of encoders: 1 − cosine)',
    recipe: { decides: 'types' },
    formats: noStack,
  }),
  /** Type of the linear layers of all blocks; without one a sensible type is chosen. */
  type: word({
    group: 'How small (one of these):',
    placeholder: 'type',
    help: 'type of the linear layers (default: about 4.5 bits)',
    recipe: { decides: 'types' },
    formats: noStack,
  }),
  /** Type of the embedding and the output head. */
  embeddingType: word({
    group: 'Types of single tensors:',
    placeholder: 'type',
    help: 'type of embedding and output head (default: q6_k, q8_0 or int8)',
    recipe: { decides: 'types', key: 'embedding' },
    formats: noStack,
  }),
  /** Types of the tensors whose name (GGUF's or Hugging Face's) matches; the last match counts. */
  overrides: overrides({
    group: 'Types of single tensors:',
    flag: 'override',
    placeholder: 'regex=type',
    help: 'type of the tensors whose name matches; repeatable',
    recipe: { decides: 'types' },
    formats: noStack,
  }),
  /** Type for tensors whose rows the wanted type does not divide; without one the job stops before it starts. */
  fallback: word({
    group: 'Types of single tensors:',
    placeholder: 'type',
    help: 'type for rows that the block size does not divide',
    recipe: { decides: 'types' },
    formats: noStack,
  }),
  /** What a search for a size may choose from; by default whatever the output's runtime loads. */
  types: words({
    group: 'The search for types:',
    placeholder: 'list',
    help: 'types that a search for a size may choose from',
    recipe: { decides: 'types' },
    formats: noStack,
  }),
  /** How types are chosen for a size (src/pipeline/search/searches.ts). */
  search: text({
    group: 'The search for types:',
    placeholder: 'name',
    help: 'how it chooses (default: knapsack); see tersor methods',
    recipe: { decides: 'types' },
    formats: noStack,
  }),
  searchOptions: settings({
    group: 'The search for types:',
    flag: 'search-option',
    placeholder: 'key=value',
    help: 'option of the search; repeatable',
    recipe: { decides: 'types' },
    formats: noStack,
  }),
  /** How a search measures what storing a tensor in a type costs the model (src/sensitivity). */
  sensitivity: text({
    group: 'The search for types:',
    placeholder: 'measure',
    help: 'how it measures what a type costs (default: divergence); see tersor methods',
    recipe: { decides: 'types' },
    formats: noStack,
    aliases: [{ flag: 'damage' }],
  }),
  /** Whether a plan for one type says what the model would lose, which a plan for a size always does. */
  predict: switched({
    group: 'The search for types:',
    help: 'with --type, say what the model would lose, too (solves every tensor quickly)',
  }),
  /** How codes are chosen (src/solver); by default as the effort says. */
  solver: text({
    group: 'Rounding:',
    placeholder: 'name',
    help: 'how codes are chosen (default: by effort, decoupleq or gptq); see tersor methods',
    recipe: { decides: 'solution', required: true },
  }),
  solverOptions: settings({
    group: 'Rounding:',
    flag: 'solver-option',
    placeholder: 'key=value',
    help: 'option of the solver; repeatable',
    recipe: { decides: 'solution', key: 'options' },
  }),
  /** Whether a block is calibrated on what the quantized blocks before it put out (the default), or the original ones. */
  calibrateOn: choice(['quantized', 'original'], {
    group: 'Rounding:',
    placeholder: 'which',
    help: 'blocks that give a block its inputs: quantized (default) or original',
    recipe: { decides: 'solution', required: true },
    formats: noStack,
    aliases: [{ flag: 'prefix', values: { compressed: 'quantized' } }],
  }),
  /** Outputs that a layer is to have on quantized inputs: those of the original model (the default), or its own. */
  match: choice(['original', 'own'], {
    group: 'Rounding:',
    placeholder: 'which',
    help: "outputs to match behind quantized blocks: the original model's (default) or the layer's own",
    recipe: { decides: 'solution' },
    formats: noStack,
    aliases: [{ flag: 'target', values: { asymmetric: 'original', symmetric: 'own' } }],
  }),
  /** Biases of compressed layers: corrected, so that outputs keep their means (the default), or kept as they are. */
  bias: choice(['corrected', 'kept'], {
    group: 'Rounding:',
    placeholder: 'which',
    help: 'biases of compressed layers: corrected for their errors (default) or kept',
    recipe: { decides: 'solution' },
  }),
  /**
   * How far second moments are shrunk to their diagonal, λ in (1 − λ) H + λ diag H: by default as far as feedback of
   * errors then does best on tokens that are held out (src/solver/shrinkage.ts), 0 for the sums as they are.
   */
  shrinkage: numberOr(['auto'], [0, 1], {
    group: 'Rounding:',
    placeholder: 'n',
    help: 'how far second moments are shrunk to their diagonal: auto (default), or 0 to 1',
    recipe: { decides: 'solution' },
  }),
  /** Settings of the solver to try before the best of them are taken (src/pipeline/search/tune.ts). */
  tune: count({
    group: 'Rounding:',
    placeholder: 'n',
    help: 'try so many settings of the solver, each by compressing the whole model, and take the best',
    formats: noStack,
  }),
  /** Text file to calibrate on; without one a built-in text is used. */
  calibration: text({
    group: 'Calibration:',
    placeholder: 'file',
    help: 'text like the one that the model will see, or JSON lines with "text" (default: built in)',
  }),
  /**
   * llama.cpp's importance matrix of the model, in the place of second moments: layers are rounded under it, and the
   * text is measured on only.
   */
  imatrix: text({
    group: 'Calibration:',
    placeholder: 'file',
    help: "llama.cpp's importance matrix, to round under in place of calibrating",
    recipe: { decides: 'solution' },
    formats: noStack,
  }),
  /** Calibration tokens at most. */
  tokens: count({
    group: 'Calibration:',
    placeholder: 'n',
    help: 'calibration tokens at most',
    recipe: { decides: 'text', required: true },
  }),
  /** Length of calibration sequences, tokens. */
  context: count({
    group: 'Calibration:',
    placeholder: 'n',
    help: 'length of calibration sequences',
    recipe: { decides: 'text', required: true },
  }),
  /** Chooses the calibration sequences when there are more than are used. */
  seed: seed({
    group: 'Calibration:',
    placeholder: 'n',
    help: 'seed of the choice of calibration sequences',
    recipe: { decides: 'text' },
  }),
  /** Threads, which never change the result; all by default. */
  threads: count({
    group: 'Options:',
    placeholder: 'n',
    help: 'threads; they never change the result (default: all)',
  }),
  /**
   * Bytes of memory to get by with, by default a good half of the machine's: activations that do not fit wait on disk
   * beside the store. Never changes the result.
   */
  memory: size({
    group: 'Options:',
    placeholder: 'size',
    help: 'memory to get by with, such as 4GB; what does not fit waits on disk',
  }),
  /** Folder with the tokenizer's files, when they do not lie beside the weights. */
  tokenizer: text({
    group: 'Options:',
    placeholder: 'folder',
    help: 'where the tokenizer is, if not beside the model',
  }),
  /** Folder that keeps solved tensors, for later searches and after interruptions. */
  store: text({
    group: 'Options:',
    placeholder: 'folder',
    help: 'where solved tensors are kept for later runs, at most 8 GB (default: see tersor cache)',
  }),
  /** Where models from the hub are kept. */
  cacheFolder: text({
    group: 'Options:',
    placeholder: 'folder',
    help: 'where models from the hub are kept (default: see tersor cache)',
  }),
} as const satisfies Readonly<Record<string, OptionRow>>;

export type OptionRows = typeof optionRows;
export type OptionName = keyof OptionRows;

export const optionNames = Object.keys(optionRows) as readonly OptionName[];

/** A row without the details of its own, for loops over all. */
export const rowOf = (name: OptionName): OptionRow => optionRows[name];

/** The value that an option has. */
export type OptionValue<Row> = Row extends OptionRow<infer Value> ? Value : never;
