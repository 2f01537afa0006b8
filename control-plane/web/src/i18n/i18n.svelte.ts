import { recall, remember } from '../lib/store';
import { en } from './en';
import { it } from './it';
import { fill, type Values } from './fill';

export type Key = keyof typeof en;
export type Language = 'en' | 'it';

export const languages: { code: Language; name: string }[] = [
  { code: 'en', name: 'English' },
  { code: 'it', name: 'Italiano' },
];

const dictionaries: Record<Language, Record<Key, string>> = { en, it };

/** What the person chose, else the first language of the browser that we speak, else English. */
function initial(): Language {
  const wanted = [recall('language') ?? '', ...navigator.languages];
  for (const tag of wanted) {
    const short = tag.slice(0, 2).toLowerCase();
    if (short in dictionaries) return short as Language;
  }
  return 'en';
}

const first = initial();
let language = $state<Language>(first);
document.documentElement.lang = first;

export const locale = {
  get current(): Language {
    return language;
  },
  /** For numbers and dates: the browser's own variant of the language, such as en-GB. */
  get tag(): string {
    return navigator.languages.find((tag) => tag.slice(0, 2).toLowerCase() === language) ?? language;
  },
  choose(code: Language): void {
    language = code;
    document.documentElement.lang = code;
    remember('language', code);
  },
  /** The instance's language, for a browser that speaks neither of ours. */
  suggest(code: Language): void {
    const spoken = navigator.languages.some((tag) => tag.slice(0, 2).toLowerCase() in dictionaries);
    if (recall('language') || spoken) return;
    language = code;
    document.documentElement.lang = code;
  },
};

/** The text for a key in the language shown now. */
export function t(key: Key, values?: Values): string {
  return fill(dictionaries[language][key], values, language);
}
