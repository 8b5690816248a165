/** The words for `--format`, but for stacked files, which are written in another way. */
export const formatNames = ['gguf', 'onnx', 'gptq', 'compressed-tensors', 'safetensors'] as const;

export type FormatName = (typeof formatNames)[number];
