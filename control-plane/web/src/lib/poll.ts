import { untrack } from 'svelte';

/**
 * Calls `work` now and then every `everyMs` after it ended, as long as the page is visible; at once when it becomes
 * visible again. Started in an effect, it makes the effect depend on nothing that `work` reads. @return stops it.
 */
export function poll(work: () => Promise<void>, everyMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  let running = false;

  async function turn(): Promise<void> {
    clearTimeout(timer);
    if (stopped || running || document.hidden) return;
    running = true;
    try {
      await work();
    } finally {
      running = false;
      if (!stopped) timer = setTimeout(() => void turn(), everyMs);
    }
  }
  const visible = (): void => void turn();
  document.addEventListener('visibilitychange', visible);
  untrack(() => void turn());
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', visible);
  };
}
