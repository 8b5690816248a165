import { basename } from 'node:path';
import type { FormatName } from '../pipeline/formats/names.js';

/** Command lines that run what was written, by its format. */
const runs: Readonly<Record<FormatName, (quoted: string, output: string) => readonly string[]>> = {
  gguf: (quoted, output) => [
    `tersor run ${quoted} "Once upon a time"`,
    `llama-server -m ${quoted}`,
    `echo ${quote(`FROM ${absolutely(output)}`)} > Modelfile && ollama create ${modelName(output)} -f Modelfile`,
  ],
  stack: (quoted) => [`tersor run ${quoted} "Once upon a time" --bytes 50%`],
  onnx: (quoted) => [`tersor run ${quoted} "Once upon a time"`],
  gptq: (quoted) => [`vllm serve ${quoted}`],
  'compressed-tensors': (quoted) => [`vllm serve ${quoted}`],
  safetensors: (quoted) => [`tersor evaluate ${quoted} --text TEXT.txt`],
};

/**
 * What to do with a finished file, a line for each program that takes it.
 * @param predicts whether it is a language model; encoders are not talked to
 */
export function nextSteps(format: FormatName, output: string, predicts: boolean): string | undefined {
  if (!predicts) return undefined;
  const [first, ...others] = runs[format](quote(output), output);
  return [`next  ${first}`, ...others.map((line) => `      ${line}`)].join('\n');
}

/** Ollama takes what begins with neither a dot nor a slash for a model of its library. */
const absolutely = (path: string) => (/^([./~]|[a-z]:)/i.test(path) ? path : `./${path}`);

const modelName = (output: string) =>
  basename(output, '.gguf')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-');

/** As a POSIX shell wants it. */
const quote = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
