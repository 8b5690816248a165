// Tells TypeScript what the kernels take: writes src/kernels/signatures.ts while asc compiles assembly/index.ts
// (npm run build:kernels), with record layouts from the compiler itself. The module gets a section with the hash of that
// file, so that kernels are never called by the signatures of others.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Transform } from 'assemblyscript/transform';

const target = fileURLToPath(new URL('../src/kernels/signatures.ts', import.meta.url));
const entry = 'assembly/index';
/** More belong into a record. */
const mostParameters = 6;
const arrays = ['F32Array', 'F64Array', 'I32Array', 'U16Array', 'U8Array', 'Halves'];
const numbers = ['i32', 'u32', 'f32', 'f64', 'bool'];
const results = ['void', 'i32', 'u32', 'f32', 'f64', 'bool'];
const lineWidth = 110;

export default class Signatures extends Transform {
  afterInitialize(program) {
    this.text = describe(program);
    this.hash = createHash('sha256').update(this.text).digest('hex').slice(0, 16);
    const whole = `${this.text}\n/** Of all above; the compiled kernels carry it, too. */\nexport const hash = '${this.hash}';\n`;
    if (textOf(target) !== whole) writeFileSync(target, whole);
  }

  afterCompile(module) {
    module.addCustomSection('signatures', new TextEncoder().encode(this.hash));
  }
}

function textOf(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function describe(program) {
  const records = new Map();
  const kernels = [];
  const { exports } = program.filesByName.get(entry);
  for (const [name, element] of [...exports].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const type = element.functionTypeNode;
    if (!type) throw new Error(`${entry} exports ${name}, which is not a function`);
    const parameters = type.parameters.map((parameter) => ({
      name: parameter.name.text,
      type: parameter.type.range.toString(),
    }));
    const result = type.returnType.range.toString();
    if (name === 'heapBase') continue;
    if (!results.includes(result)) throw new Error(`kernel ${name} returns ${result}`);
    if (parameters.length > mostParameters)
      throw new Error(`kernel ${name} has ${parameters.length} parameters; put them into a record`);
    const [first, second] = parameters;
    const rows = first?.name === 'start' && second?.name === 'end';
    const rest = rows ? parameters.slice(2) : parameters;
    const record = rest.length === 1 && classOf(element, rest[0].type);
    if (record) collect(program, record, records);
    const takes = record
      ? `record: '${rest[0].type}'`
      : `arguments: { ${rest.map((p) => `${p.name}: '${tagOf(element, p, program, records)}'`).join(', ')} }`;
    kernels.push(`${name}: { rows: ${rows}, result: '${result}', ${takes} }`);
  }
  const sorted = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
  const largest = Math.max(...sorted.map(([, { bytes }]) => bytes));
  return `// Generated from assembly/ by npm run build:kernels.
// biome-ignore-all format: generated

/** Kernels by name: whether they work on a range of rows, what they return, and what they take. */
export const kernels = {
${kernels.map((line) => wrap(`${line},`)).join('\n')}
} as const;

/** Records that kernels read: their fields' types and offsets. */
export const records = {
${sorted.map(([name, { bytes, fields }]) => wrap(`${name}: { bytes: ${bytes}, fields: { ${fields.join(', ')} } },`)).join('\n')}
} as const;

export const largestRecord = ${largest};
`;
}

/** The record class that a type names where the element is declared. */
function classOf(element, type) {
  const found = element.parent.lookup(type, true);
  return found?.instanceMembers ? found : undefined;
}

/** Adds a record and those that it points to. */
function collect(program, prototype, records) {
  if (records.has(prototype.name)) return;
  const record = { bytes: 0, fields: [] };
  records.set(prototype.name, record);
  const layout = program.resolver.resolveClass(prototype, null);
  for (const [name, member] of prototype.instanceMembers) {
    const type = member.typeNode.range.toString();
    const tag = tagOf(prototype, { name, type }, program, records);
    record.fields.push(`${name}: ['${tag}', ${layout.getMember(name).instance.memoryOffset}]`);
  }
  record.bytes = layout.nextMemoryOffset;
}

/** How a type is written in the signatures: an array, a record or a number, with a question mark where it may be absent. */
function tagOf(element, { name, type }, program, records) {
  const [, inner] = /^Optional<(\w+)>$/.exec(type) ?? [];
  const plain = inner ?? type;
  const record = classOf(element, plain);
  if (record) collect(program, record, records);
  else if (!arrays.includes(plain) && (inner || !numbers.includes(plain)))
    throw new Error(`${element.name}: ${name} is of type ${type}, which TypeScript cannot be told`);
  return inner ? `${plain}?` : plain;
}

/** Breaks a long line at commas. */
function wrap(text) {
  const lines = ['  '];
  for (const part of text.split(/(?<=,) (?![^[]*\])/)) {
    const last = lines.at(-1);
    if (last.trim() && last.length + part.length >= lineWidth) lines.push(`    ${part}`);
    else lines[lines.length - 1] = last.trim() ? `${last} ${part}` : `${last}${part}`;
  }
  return lines.join('\n');
}
