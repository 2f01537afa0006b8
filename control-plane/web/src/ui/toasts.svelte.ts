/** Short confirmations; failures stay on the page instead (Notice.svelte). */
export interface Toast {
  id: number;
  text: string;
}

/** Long enough to read a line, short enough not to cover anything for long. */
const shownMs = 3_500;

let list = $state<Toast[]>([]);
let last = 0;

export const toasts = {
  get list(): Toast[] {
    return list;
  },
  show(text: string): void {
    const id = ++last;
    list = [...list.slice(-2), { id, text }];
    setTimeout(() => (list = list.filter((toast) => toast.id !== id)), shownMs);
  },
};
