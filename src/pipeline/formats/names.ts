/** The words for `--format`. */
export const formatNames = ['gguf', 'stack', 'onnx', 'gptq', 'compressed-tensors', 'safetensors'] as const;

export type FormatName = (typeof formatNames)[number];
