import { expect, test } from 'vitest';
import { withFolder } from '../../test/checkpoint/files.js';
import { hubAccess } from './hub-access.js';

const bytes = (text: string) => new TextEncoder().encode(text);

test('address and token are found where Hugging Face’s tools find them', () =>
  withFolder({ token: bytes('hf_file\n'), other: bytes('hf_other') }, async (folder) => {
    const HF_HOME = folder;
    expect(await hubAccess({ HF_HOME: `${folder}/none` })).toEqual({ hubUrl: 'https://huggingface.co' });
    expect((await hubAccess({ HF_HOME })).accessToken).toBe('hf_file');
    expect((await hubAccess({ HF_HOME, HF_TOKEN_PATH: `${folder}/other` })).accessToken).toBe('hf_other');
    expect((await hubAccess({ HF_HOME, HF_TOKEN: 'hf_given' })).accessToken).toBe('hf_given');
    const mirror = await hubAccess({ HF_HOME, HF_ENDPOINT: 'https://mirror.example/' });
    expect(mirror.hubUrl).toBe('https://mirror.example');
  }));
