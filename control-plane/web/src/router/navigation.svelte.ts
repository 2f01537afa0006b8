import { parseRoute, type Route } from './routes';

function currentRoute(): Route {
  return parseRoute(location.pathname, location.search, location.hash);
}

let route = $state.raw<Route>(currentRoute());
let path = $state.raw(location.pathname);
let repeated = $state(0);

function update(): void {
  route = currentRoute();
  path = location.pathname;
}

/** The route shown now; reading it in a component follows it. */
export const navigation = {
  get route(): Route {
    return route;
  },
  get path(): string {
    return path;
  },
  /** Counts the links to the page that is shown already: a wish to have it fresh. */
  get repeated(): number {
    return repeated;
  },
};

export function go(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  update();
}

/** Takes clicks on links of this application; those with a modifier key, a target or another host stay the browser's. */
export function startNavigation(): void {
  addEventListener('popstate', update);
  addEventListener('hashchange', update);
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const anchor = (event.target as Element | null)?.closest?.('a');
    if (!anchor || anchor.target || anchor.hasAttribute('download')) return;
    const url = new URL(anchor.href, location.href);
    if (url.origin !== location.origin || parseRoute(url.pathname).page === 'notFound') return;
    const here = url.pathname === location.pathname && url.search === location.search;
    if (here && url.hash) return; // a place on this page
    event.preventDefault();
    const to = url.pathname + url.search + url.hash;
    if (here) repeated += 1;
    else go(to);
  });
}
