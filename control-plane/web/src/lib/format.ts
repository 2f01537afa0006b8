/** Numbers and times as people read them. Every function takes the language, so that tests need no browser. */

/** 75 300 → "1:15"; 3 675 000 → "1:01:15". Rounded down: a clip never claims a second that it does not have. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const seconds = String(total % 60).padStart(2, '0');
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${seconds}` : `${minutes}:${seconds}`;
}

const byteUnits = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;

/** 1 536 000 → "1.5 MB" (decimal units, as file managers and providers count). */
export function bytes(count: number, language: string): string {
  let value = Math.max(0, count);
  let unit = 0;
  while (value >= 1000 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return new Intl.NumberFormat(language, {
    style: 'unit',
    unit: byteUnits[unit] ?? 'byte',
    unitDisplay: unit === 0 ? 'long' : 'short',
    maximumFractionDigits: value < 10 && unit > 1 ? 1 : 0,
  }).format(value);
}

/** Bits a second: 2 513 000 → "2.5 Mb/s". */
export function bitrate(bitsPerSecond: number, language: string): string {
  const mega = bitsPerSecond >= 1e6;
  const value = bitsPerSecond / (mega ? 1e6 : 1e3);
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: mega && value < 10 ? 1 : 0 }).format(value);
  return `${number} ${mega ? 'Mb/s' : 'kb/s'}`;
}

/** 0.421 → "42%". Rounded down, so that 100% means done. */
export function percent(fraction: number, language: string): string {
  const whole = Math.floor(Math.min(1, Math.max(0, fraction)) * 100 + 1e-9);
  return new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 }).format(whole / 100);
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['week', 7 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "3 hours ago", "yesterday"; under a minute "just now". */
export function ago(then: string, now: number, language: string): string {
  const seconds = Math.max(0, (now - Date.parse(then)) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  for (const [unit, size] of steps) {
    if (seconds >= size) return format.format(-Math.floor(seconds / size), unit);
  }
  return language.startsWith('en') ? 'just now' : format.format(0, 'second');
}

/** 95 → "2 min": what remains, rounded up so that it is not promised too early. */
export function remaining(seconds: number, language: string): string {
  const [value, unit] =
    seconds >= 3600 ? [Math.ceil(seconds / 3600), 'hour'] : seconds >= 60 ? [Math.ceil(seconds / 60), 'minute'] : [Math.max(1, Math.ceil(seconds)), 'second'];
  return new Intl.NumberFormat(language, { style: 'unit', unit: String(unit), unitDisplay: 'short' }).format(Number(value));
}

export function day(then: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'long' }).format(new Date(then));
}

/** A rung as players call it: the short side, and the rate where it is above film's and television's. */
export function rungName(width: number, height: number, fps: number): string {
  return `${Math.min(width, height)}p${fps > 32 ? Math.round(fps) : ''}`;
}

/** "holiday_2026.final.mp4" → "holiday 2026.final": a first title that needs less editing than the file's name. */
export function titleFromFilename(filename: string, charsMax: number): string {
  const plain = filename.replace(/\.[A-Za-z0-9]{1,5}$/, '').replace(/[_\s]+/g, ' ').trim();
  return [...(plain || filename)].slice(0, charsMax).join('');
}
