import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { TersorError } from '../errors.js';
import type { Kernels } from '../kernels/kernels.js';
import type { Checkpoint } from './checkpoint.js';
import { openGguf } from './gguf/gguf.js';
import { type DownloadOptions, downloadModel, parseHubId } from './hub.js';
import { openLlama2c } from './llama2c.js';
import { findOnnxFile, openOnnx } from './onnx/onnx.js';
import { configName, indexName, openSafetensors, shardName, weightsName } from './safetensors.js';
import { openStack, type Portion } from './stack/stack.js';

export interface OpenOptions extends DownloadOptions {
  /**
   * Kernels to decode with; nothing else may use their memory during a read. By default the checkpoint has
   * its own, so that the next tensor can be read while others are worked on.
   */
  readonly kernels?: Kernels;
  /** How much of a stacked file to use. */
  readonly portion?: Portion;
}

const pickled = /\.(pt|pth|ckpt|pkl|pickle)$|^(pytorch|adapter)_model.*\.bin$/;

/**
 * Opens a model: a Hugging Face folder, a `.safetensors`, `.gguf`, `.stack` or llama2.c `.bin` file, or a hub id
 * (`owner/name`, `owner/name@revision`) when there is no such path. Reads headers only.
 * @throws TersorError when there is no such model or it is corrupt
 */
export async function openCheckpoint(model: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const kind = await stat(model).catch(() => undefined);
  if (kind?.isDirectory()) return openFolder(model, model, options.kernels);
  if (kind) return openFile(model, options);
  const id = parseHubId(model);
  if (id) return openFolder(await downloadModel(id, options), model, options.kernels);
  throw new TersorError('does not exist', {
    code: 'not-found',
    file: model,
    remedy:
      'give a Hugging Face folder, a .gguf, .safetensors, .stack or llama2.c .bin file, or a hub id (owner/name)',
  });
}

async function openFolder(folder: string, shownAs: string, kernels?: Kernels): Promise<Checkpoint> {
  const names = await readdir(folder);
  // As transformers chooses: one file before shards.
  const weights = [weightsName, indexName].find((name) => names.includes(name));
  if (weights) return openSafetensors(join(folder, weights), shownAs, kernels);
  const onnx = await findOnnxFile(folder);
  if (onnx) return openOnnx(onnx, shownAs, kernels);
  const pickle = names.find((name) => pickled.test(name));
  if (pickle) throw refusePickle(join(folder, pickle));
  const shard = names.some((name) => shardName.test(name));
  const other = names.find((name) => /\.(gguf|safetensors)$/.test(name));
  throw new TersorError(`has neither ${weightsName} nor ${indexName}`, {
    code: 'not-found',
    file: folder,
    remedy: shard
      ? `get ${indexName} of these shards`
      : other
        ? `give the file itself: ${join(folder, other)}`
        : `give a folder with ${configName} and safetensors weights`,
  });
}

async function openFile(path: string, { kernels, portion }: OpenOptions): Promise<Checkpoint> {
  const name = basename(path);
  if (pickled.test(name)) throw refusePickle(path);
  switch (extname(name)) {
    case '.safetensors':
      if (shardName.test(name)) {
        throw new TersorError('is one of several shards', { file: path, remedy: 'give its folder' });
      }
      return openSafetensors(path, path, kernels);
    case '.gguf':
      return openGguf(path, kernels);
    case '.onnx':
      return openOnnx(path, path, kernels);
    case '.bin':
      return openLlama2c(path, kernels);
    case '.stack':
      return openStack(path, kernels, portion);
    default: {
      const remedy = 'give a .gguf, .safetensors, .stack or llama2.c .bin file, or a Hugging Face folder';
      throw new TersorError('is of no known kind', { code: 'unsupported', file: path, remedy });
    }
  }
}

const refusePickle = (file: string) =>
  new TersorError('is a Python pickle, which can run any code when it is read', {
    code: 'unsupported',
    file,
    remedy: 'get the safetensors version of the model, or convert it with safetensors.torch.save_file',
  });
