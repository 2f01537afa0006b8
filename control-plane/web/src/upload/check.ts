/** What can be said about a file before its bytes travel. The server decides; this spares people a long wait. */
export type Refusal = 'emptyFile' | 'tooLarge' | 'notVideo';

/** Phones and cameras leave the type empty for some of these. */
const endings = /\.(mp4|m4v|mov|qt|webm|mkv|3gp|3g2|mj2|avi|flv|ts|mts|m2ts)$/i;

export function refuse(file: { name: string; type: string; size: number }, bytesMax: number): Refusal | undefined {
  if (file.size === 0) return 'emptyFile';
  if (file.size > bytesMax) return 'tooLarge';
  if (!file.type.startsWith('video/') && !endings.test(file.name)) return 'notVideo';
  return undefined;
}

/** For file pickers: on phones `video/*` opens the camera roll. */
export const accepted = 'video/*,.mkv,.mov,.mp4,.m4v,.webm,.avi,.flv,.ts,.mts';
