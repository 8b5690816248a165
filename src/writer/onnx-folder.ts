import { statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { isObject, parseJsonObject } from '../checkpoint/file.js';
import { onnxFolder } from '../checkpoint/onnx/onnx.js';
import { configName } from '../checkpoint/safetensors.js';
import { TersorError } from '../errors.js';
import { checkFolder, copyCompanions, requireConfig, writeJson } from './folder.js';

const generationName = 'generation_config.json';
const tokenizerName = 'tokenizer.json';
const tokenizerConfigName = 'tokenizer_config.json';
const templateName = 'chat_template.jinja';

/** What transformers.js calls a kind of model file (`dtype`), and what it appends to the file's name. */
export const dtypeSuffixes = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  q4: '_q4',
  q4f16: '_q4f16',
  q2: '_q2',
  q2f16: '_q2f16',
} as const;
export type Dtype = keyof typeof dtypeSuffixes;

/** Where the files that a folder needs besides the model come from. */
export interface FolderSource {
  readonly checkpoint: Pick<Checkpoint, 'path' | 'folder' | 'metadata' | 'naming'>;
  /** Folder of the tokenizer's files, when they do not lie with the weights. */
  readonly tokenizer?: string;
  /** tokenizer_config.json, where the model comes without one. */
  readonly tokenizerConfig?: Readonly<Record<string, unknown>>;
}

/** @throws TersorError when transformers.js would miss something beside the model that tersor cannot make */
export function requireCompanions({ checkpoint, tokenizer, tokenizerConfig }: FolderSource): void {
  requireConfig(checkpoint, 'a folder for transformers.js');
  const where = tokenizer ?? checkpoint.folder;
  for (const name of tokenizerConfig ? [tokenizerName] : [tokenizerName, tokenizerConfigName]) {
    if (!statSync(join(where, name), { throwIfNoEntry: false })?.isFile())
      throw new TersorError(`there is no ${name}, which transformers.js needs`, {
        code: 'not-found',
        file: where,
        remedy: 'get it from the model’s page on the hub, or name the folder that has it with --tokenizer',
      });
  }
}

/**
 * Writes config.json, generation_config.json and the tokenizer's files into a folder. The configuration tells
 * transformers.js which file to load where a program names none.
 * @param settings of `transformers.js_config`, besides those that the original has
 */
export async function writeCompanions(
  { checkpoint, tokenizer, tokenizerConfig }: FolderSource,
  settings: Readonly<Record<string, unknown>>,
  target: string,
): Promise<void> {
  const { folder, metadata } = checkpoint;
  const source = tokenizer ?? folder;
  const names = await copyCompanions(source, target);
  const config = Object.fromEntries(Object.entries(metadata).filter(([key]) => !key.startsWith('tersor.')));
  const before = config['transformers.js_config'];
  await writeJson(join(target, configName), {
    ...config,
    'transformers.js_config': { ...(isObject(before) ? before : {}), ...settings },
  });
  if (!names.includes(generationName)) {
    const ids = Object.entries(config).filter(([key, value]) => key.endsWith('_token_id') && value !== null);
    await writeJson(join(target, generationName), { _from_model_config: true, ...Object.fromEntries(ids) });
  }
  if (tokenizerConfig && !names.includes(tokenizerConfigName))
    await writeJson(join(target, tokenizerConfigName), tokenizerConfig);
  if (names.includes(templateName)) await takeTemplate(source, target);
}

/** transformers.js looks for the chat template in the tokenizer's configuration only. */
async function takeTemplate(source: string, target: string): Promise<void> {
  const path = join(source, tokenizerConfigName);
  const settings = parseJsonObject(await readFile(path, 'utf8'), path, 'get an intact copy of the file');
  if (settings.chat_template !== undefined) return;
  const template = await readFile(join(source, templateName), 'utf8');
  await writeJson(join(target, tokenizerConfigName), { ...settings, chat_template: template });
}

/**
 * Makes sure, before any work, that a folder for transformers.js can be written.
 * @throws TersorError as `checkFolder` does
 */
export const checkOnnxFolder = (path: string): Promise<void> =>
  checkFolder(path, async (names) => {
    const models = await readdir(join(path, onnxFolder)).catch(() => []);
    return (
      names.every((name) => name === onnxFolder) &&
      models.length > 0 &&
      models.every((name) => /^model\w*\.onnx(_data)?$/.test(name))
    );
  });
