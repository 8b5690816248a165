/** What the page and the engine's worker say to each other. */

export interface Loaded {
  readonly name: string;
  readonly provider: string;
  readonly parameters: number;
  /** Of the file, and of the weights as they are computed with. */
  readonly bytes: number;
  readonly memory: number;
}

export type Side = 'original' | 'compressed';

export interface StreamRequest {
  /** An address, or a file of the user's. */
  readonly source: string | File;
  /** 0: as fast as it goes. */
  readonly bytesPerSecond: number;
  readonly prompt: string;
}

export interface TellRequest {
  readonly side: Side;
  readonly prompt: string;
  readonly temperature: number;
  readonly most: number;
}

export type Request =
  | { readonly kind: 'load'; readonly base: string }
  | ({ readonly kind: 'stream' } & StreamRequest)
  /** The files of an ONNX folder. */
  | { readonly kind: 'open'; readonly files: readonly File[] }
  | ({ readonly kind: 'tell' } & TellRequest)
  | { readonly kind: 'stop' };

/** A measurement of the stacked model against the original. */
export interface Sharpness {
  readonly bytes: number;
  readonly divergence: number;
  readonly sameTop: number;
}

export type Event =
  | { readonly kind: 'loading'; readonly bytes: number; readonly total: number }
  | { readonly kind: 'loaded'; readonly original: Loaded }
  | {
      readonly kind: 'arriving';
      readonly bytes: number;
      readonly total: number;
      /** From here on the model can talk. */
      readonly usableAt: number;
    }
  | ({ readonly kind: 'sharper' } & Sharpness)
  /** A word of the story that is told during the download. */
  | { readonly kind: 'word'; readonly text: string; readonly bytes: number; readonly divergence?: number }
  | {
      readonly kind: 'arrived';
      readonly compressed: Loaded;
      readonly divergence?: number;
      readonly sameTop?: number;
    }
  | {
      readonly kind: 'token';
      readonly side: Side;
      readonly text: string;
      readonly tokens: number;
      readonly tokensPerSecond: number;
    }
  | { readonly kind: 'told'; readonly side: Side }
  | { readonly kind: 'failed'; readonly message: string };
