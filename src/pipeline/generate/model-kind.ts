import { open, stat } from 'node:fs/promises';
import { findOnnxFile } from '../../checkpoint/onnx/onnx.js';
import { TersorError } from '../../errors.js';

/** What text is generated with: a GGUF in llama.cpp, the others in onnxruntime. */
export type ModelKind = 'gguf' | 'onnx' | 'stack';

/** @throws TersorError unless the path is a GGUF file, a stacked one, an ONNX file or a folder with one */
export async function kindOfModel(path: string): Promise<ModelKind> {
  const about = await stat(path).catch((cause: unknown) => {
    throw new TersorError('cannot be read', { file: path, remedy: 'check the path', cause });
  });
  if (about.isDirectory() ? await findOnnxFile(path) : path.endsWith('.onnx')) return 'onnx';
  if (about.isFile() && path.endsWith('.stack')) return 'stack';
  if (about.isFile() && (await beginning(path)) === 'GGUF') return 'gguf';
  throw new TersorError(
    'is neither a GGUF or stacked file nor a folder with an ONNX model, which generate text',
    {
      code: 'unsupported',
      file: path,
      remedy: `make one: tersor compress ${path} -o model.gguf`,
    },
  );
}

async function beginning(path: string): Promise<string> {
  const file = await open(path).catch((cause: unknown) => {
    throw new TersorError('cannot be read', { file: path, remedy: 'check its permissions', cause });
  });
  try {
    const { buffer } = await file.read(Buffer.alloc(4));
    return buffer.toString('latin1');
  } finally {
    await file.close();
  }
}
