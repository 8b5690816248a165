import { byStatus, type Method, type Worth } from '../src/method.js';
import { type FamilyDocument, type MethodDocument, methods } from '../src/pipeline/methods.js';

/** docs/methods.md, from the tables that the program chooses by. */
export function methodsPage(): string {
  const all = methods();
  const types = all.types.toSorted((a, b) => b.bitsPerWeight - a.bitsPerWeight);
  return `# Methods

Made from the tables in the source by \`npm run docs:methods\`; \`tersor methods\` prints the same, and
\`tersor methods --options\` the options with their descriptions.

**Recommended** methods are good choices in general, **special** ones for models, types or budgets of some kind, and
**experimental** ones are there to compare with, or of no known use yet. Figures are those of
[docs/results](results/README.md); a layer error is relative, a divergence is in nats per token.

## Solvers

\`--solver NAME\`, with \`--solver-option KEY=VALUE\`. What each is for, at greater length:
[choosing.md](choosing.md#which-solver).

${methodTable(all.solvers)}

## Searches for types

Options: \`--search-option KEY=VALUE\`.

${methodTable(all.searches)}

## Measures of sensitivity

\`--sensitivity NAME\`: what a search takes for the loss of storing a tensor at a type.

${methodTable(all.sensitivity)}

## Corrections

${methodTable(all.corrections)}

## Types of GGUF files

| type | bits | block | how it stores weights | runtimes |
|---|--:|--:|---|---|
${types
  .map(
    ({ name, bitsPerWeight, blockSize, summary, runtimes }) =>
      `| \`${name}\` | ${Number(bitsPerWeight.toPrecision(4))} | ${blockSize} | ${summary} | ${runtimes.join(', ')} |`,
  )
  .join('\n')}

## Types of ONNX folders

\`--format onnx\`.

${familyTable(all.onnx)}

## Types of folders for vLLM and transformers

\`--format gptq\` and \`--format compressed-tensors\`.

${familyTable(all.vllm)}

## Types of tersor's own folders

\`--format safetensors\`.

${familyTable(all.families)}
`;
}

/** Text of a cell. */
const cell = (text: string) => text.replaceAll('|', '\\|');

/** A paper with a link to arXiv. */
const linked = (paper: string) =>
  paper.replaceAll(/arXiv:(\d+\.\d+)/g, (name, id) => `[${name}](https://arxiv.org/abs/${id})`);

const worth = ({ status, wins }: Worth) => `${status} | ${cell(wins)}`;

function methodTable(
  rows: readonly (Method & Partial<MethodDocument> & { readonly use?: string })[],
): string {
  const used = rows.some(({ use }) => use !== undefined);
  const lines = byStatus(rows).map(
    (row) =>
      `| \`${row.name}\` | ${used ? `${row.use ? `\`${row.use}\`` : ''} | ` : ''}${cell(row.title)} | ${worth(row)} | ${linked(cell(row.paper))} |`,
  );
  return `| name |${used ? ' by |' : ''} what it is | status | where it wins | paper |
|---|${used ? '---|' : ''}---|---|---|---|
${lines.join('\n')}`;
}

function familyTable(rows: readonly FamilyDocument[]): string {
  const lines = byStatus(rows).map((row) => {
    const names = row.examples.map(({ name }) => `\`${name}\``).join(', ');
    return `| ${cell(row.title)} | ${cell(row.names)} | ${names} | ${worth(row)} | ${linked(cell(row.paper))} |`;
  });
  return `| what it is | names | such as | status | where it wins | paper |
|---|---|---|---|---|---|
${lines.join('\n')}`;
}
