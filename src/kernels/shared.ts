/**
 * Whether an array lies in memory that threads share. Pages that are not isolated have such memory without the name of its
 * class, so that the class cannot be asked for.
 */
export const isShared = ({ buffer }: ArrayBufferView): boolean =>
  Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
