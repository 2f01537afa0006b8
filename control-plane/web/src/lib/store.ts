/** Small settings in the browser. Storage may be forbidden or full: the setting then lasts as long as the page. */
export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`ribalta.${key}`, value);
  } catch {
    // Nothing to do: the page works the same until it is closed.
  }
}

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`ribalta.${key}`);
  } catch {
    return null;
  }
}
