// Makes a smaller GGUF of a GGUF: node requantize.js MODEL.gguf OUTPUT.gguf [TYPE, such as q3_k]
import { compress, methods, TersorError, type TypeName } from 'tersor';
import { readGguf } from 'tersor/gguf';

const [model = '', output = '', type = 'q3_k'] = process.argv.slice(2);

/** Whether a word is a type that llama.cpp loads. */
function isType(word: string): word is TypeName {
  return methods().types.some(({ name }) => name === word);
}

try {
  if (!isType(type)) throw new TersorError(`there is no type ${type}`, { remedy: 'try q3_k' });
  const { tensors } = await compress({ model, output, type, solver: 'gptq', tokens: 4096 });
  const worst = tensors.toSorted((a, b) => b.relativeError - a.relativeError)[0];
  console.log(`largest relative error of a layer: ${worst?.relativeError.toFixed(4)} (${worst?.name})`);
  const file = await readGguf(output);
  console.log(`types: ${[...new Set([...file.tensors.values()].map((tensor) => tensor.type))].join(', ')}`);
  console.log(`made by tersor ${file.metadata['tersor.version']?.value}`);
  await file.close();
} catch (error) {
  if (!(error instanceof TersorError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
