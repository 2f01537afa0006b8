/**
 * The addresses of the application, as values: a path becomes a `Route` here and nowhere else, so that pages never look
 * at strings. `/v/…`, `/live/…`, `/t/…`, `/files/…` and `/api/…` belong to other parts of the site.
 */
export type Route =
  | { page: 'feed' }
  | { page: 'watch'; id: string }
  | { page: 'lives' }
  | { page: 'live'; stream: string }
  | { page: 'profile'; name: string }
  | { page: 'profileLive'; name: string }
  | { page: 'upload' }
  | { page: 'studio' }
  | { page: 'goLive' }
  | { page: 'signIn'; next: string }
  | { page: 'signUp'; next: string }
  | { page: 'setup'; token: string }
  | { page: 'account' }
  | { page: 'about' }
  | { page: 'notFound' };

export type Page = Route['page'];

const fixed: Record<string, Route> = {
  '/': { page: 'feed' },
  '/onair': { page: 'lives' },
  '/upload': { page: 'upload' },
  '/studio': { page: 'studio' },
  '/golive': { page: 'goLive' },
  '/account': { page: 'account' },
  '/about': { page: 'about' },
};

/** 80 random bits in Crockford's alphabet. */
const idPattern = /^[0-9a-hjkmnp-tv-z]{16}$/;
const namePattern = /^[a-z0-9_]{3,24}$/;

/**
 * Reads an address.
 * @param path    pathname, percent-encoded as the browser gives it; a trailing slash means the same as none.
 * @param search  with its `?`, or empty.
 * @param hash    with its `#`, or empty.
 */
export function parseRoute(path: string, search = '', hash = ''): Route {
  const clean = path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
  const known = fixed[clean];
  if (known) return known;
  if (clean === '/signin') return { page: 'signIn', next: safeNext(search) };
  if (clean === '/signup') return { page: 'signUp', next: safeNext(search) };
  if (clean === '/setup') return { page: 'setup', token: hash.replace(/^#/, '') };

  const [first = '', second, third, ...more] = clean.slice(1).split('/');
  if (more.length === 0 && third === undefined && second !== undefined && idPattern.test(second)) {
    if (first === 'watch') return { page: 'watch', id: second };
    if (first === 'l') return { page: 'live', stream: second };
  }
  const name = profileName(first);
  if (name !== undefined && third === undefined) {
    if (second === undefined) return { page: 'profile', name };
    if (second === 'live') return { page: 'profileLive', name };
  }
  return { page: 'notFound' };
}

function profileName(segment: string): string | undefined {
  const plain = segment.replace(/^%40/, '@');
  if (!plain.startsWith('@')) return undefined;
  const name = plain.slice(1).toLowerCase();
  return namePattern.test(name) ? name : undefined;
}

/**
 * Where to go after signing in. Only paths of this site: `//elsewhere` and `/\elsewhere` are other hosts to a browser.
 */
export function safeNext(search: string): string {
  const next = new URLSearchParams(search).get('next') ?? '/';
  return /^\/(?![/\\])/.test(next) && !hasControls(next) ? next : '/';
}

/** Browsers drop tabs and line ends inside addresses, so they could hide a second slash. */
function hasControls(text: string): boolean {
  return [...text].some((character) => character.charCodeAt(0) < 0x20);
}

export const links = {
  feed: '/',
  lives: '/onair',
  upload: '/upload',
  studio: '/studio',
  goLive: '/golive',
  account: '/account',
  about: '/about',
  watch: (id: string) => `/watch/${id}`,
  live: (stream: string) => `/l/${stream}`,
  profile: (name: string) => `/@${name}`,
  signIn: (next?: string) => withNext('/signin', next),
  signUp: (next?: string) => withNext('/signup', next),
};

function withNext(path: string, next?: string): string {
  return next && next !== '/' ? `${path}?next=${encodeURIComponent(next)}` : path;
}
