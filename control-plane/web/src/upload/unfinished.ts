/** Uploads that began in this browser and have not all their bytes on the server: what a reload must not forget. */
import { recall, remember } from '../lib/store';

export interface Unfinished {
  /** tus address. */
  url: string;
  video: string;
  filename: string;
  bytes: number;
}

const key = 'unfinished';
/** More than anybody has under way; older ones have expired on the server. */
const keptMax = 20;

export function unfinished(): Unfinished[] {
  try {
    const list: unknown = JSON.parse(recall(key) ?? '[]');
    return Array.isArray(list) ? list.filter(isUnfinished) : [];
  } catch {
    return [];
  }
}

function isUnfinished(value: unknown): value is Unfinished {
  const entry = value as Partial<Unfinished> | null;
  return typeof entry?.url === 'string' && typeof entry.video === 'string' && typeof entry.filename === 'string' && typeof entry.bytes === 'number';
}

export function rememberUnfinished(entry: Unfinished): void {
  // The same file begun again replaces what was left of it.
  const others = unfinished().filter((one) => one.url !== entry.url && !(one.filename === entry.filename && one.bytes === entry.bytes));
  remember(key, JSON.stringify([entry, ...others].slice(0, keptMax)));
}

/** Ends it on the server too, which gives its space back; what cannot be reached now expires there by itself. */
export async function giveUp(url: string, headers: Record<string, string>): Promise<void> {
  forgetUnfinished(url);
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith('tus::') && localStorage.getItem(name)?.includes(JSON.stringify(url))) localStorage.removeItem(name);
  }
  await fetch(url, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0', ...headers } }).catch(() => undefined);
}

export function forgetUnfinished(url: string): void {
  remember(key, JSON.stringify(unfinished().filter((one) => one.url !== url)));
}
