export type Values = Record<string, string | number>;

/**
 * Puts values into a text: `{name}` is replaced; `{n|one clip|# clips}` chooses by the language's plural rule (one, other)
 * and puts the number where `#` is.
 */
export function fill(text: string, values: Values = {}, language = 'en'): string {
  return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, other?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one === undefined || other === undefined) return String(value);
    const number = Number(value);
    const form = new Intl.PluralRules(language).select(number) === 'one' ? one : other;
    return form.replace('#', new Intl.NumberFormat(language).format(number));
  });
}
