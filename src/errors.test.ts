import { expect, test } from 'vitest';
import { TersorError } from './errors.js';

const system = (code: string) => Object.assign(new Error('why'), { code });

test.each([
  ['an option, where no file is named', {}, 'invalid-option'],
  ['the file', { file: 'a' }, 'invalid-input'],
  ['the tensor', { tensor: 'a' }, 'invalid-input'],
  ['the system', { file: 'a', cause: system('ENOENT') }, 'not-found'],
  ['the system', { file: 'a', cause: system('EROFS') }, 'no-access'],
  ['the system', { file: 'a', cause: system('ENOSPC') }, 'no-space'],
  ['the file, where the system says something else', { file: 'a', cause: system('EIO') }, 'invalid-input'],
  [
    'a DOMException, which counts',
    { file: 'a', cause: new DOMException('b', 'AbortError') },
    'invalid-input',
  ],
  ['what led to it', { file: 'a', cause: new TersorError('b', { code: 'download' }) }, 'download'],
  ['whoever knows better', { file: 'a', code: 'verification', cause: system('ENOENT') }, 'verification'],
] as const)('the code follows from %s', (_, details, code) => {
  expect(new TersorError('problem', details).code).toBe(code);
});

test('the message is one line of everything, the fields are as given', () => {
  const details = { file: 'a\nb', tensor: 'c', remedy: 'do so' };
  const error = new TersorError('is wrong', details);
  expect(error.message).toBe('a\\u000ab: tensor c: is wrong; do so');
  expect(error).toMatchObject(details);
});
