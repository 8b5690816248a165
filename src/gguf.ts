/**
 * Reads and writes GGUF files, tensor by tensor:
 *
 *     const { metadata, tensors, readBytes, close } = await readGguf('model.gguf');
 *     const copied = [...tensors.values()].map((tensor) => ({ ...tensor, data: () => readBytes(tensor.name) }));
 *     await writeGguf('copy.gguf', { metadata, tensors: copied });
 *     await close();
 */
export type { Tensor, TensorInfo } from './checkpoint/checkpoint.js';
export { type ErrorCode, TersorError } from './errors.js';
export { type GgufFile, type GgufTensor, readGguf, writeGguf } from './pipeline/gguf-file.js';
export { ggufSize } from './writer/gguf.js';
export type { Metadata, MetadataValue } from './writer/metadata.js';
