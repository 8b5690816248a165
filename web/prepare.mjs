// Puts what the page serves into web/public: the embedded model, and its stacked version, which is made once.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = root('web/public/tales');
mkdirSync(folder, { recursive: true });
for (const name of [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'model.safetensors',
  'evaluation.txt',
])
  copyFileSync(root(`models/tales/${name}`), `${folder}/${name}`);

const stack = `${folder}/tales.stack`;
if (!existsSync(stack)) {
  const text = ['--calibration', root('models/tales/calibration.txt'), '--tokens', '16384'];
  const solver = ['--solver', 'gptq', '--solver-option', 'damping=0.3'];
  const words = ['compress', root('models/tales'), '-o', stack, ...text, ...solver];
  const { status } = spawnSync(process.execPath, [root('dist/cli/main.js'), ...words], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
