/**
 * How near tersor's outputs are to those of Hugging Face's own code, for every small model of ../shared that is read:
 * the largest difference of log-probabilities at any position of decoders, and of hidden states, relative, of encoders.
 *
 *   node bench/run.mjs families
 */
import { openModel } from '../src/architecture/model.js';
import { openCheckpoint } from '../src/checkpoint/open.js';
import {
  huggingFaceModels,
  largestRelative,
  largestShift,
  ownOutputs,
  readExpected,
} from '../test/fixtures/hugging-face.js';

console.log('| model | `model_type` | largest difference |\n|---|---|--:|');
for (const [name, folder] of [...huggingFaceModels()].sort()) {
  const checkpoint = await openCheckpoint(folder);
  const model = await openModel(checkpoint).catch(() => undefined);
  if (model) {
    const { sequences, outputs, width } = await readExpected(folder);
    const own = await ownOutputs(model, sequences);
    const difference =
      model.architecture.objective === 'prediction'
        ? largestShift(own, outputs, width)
        : largestRelative(own, outputs);
    console.log(`| ${name} | \`${checkpoint.metadata.model_type}\` | ${difference.toExponential(1)} |`);
  }
  await checkpoint.close();
}
