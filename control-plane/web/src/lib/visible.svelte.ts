let visible = $state(!document.hidden);
document.addEventListener('visibilitychange', () => (visible = !document.hidden));

/** Whether somebody can see the page: a clip in a tab at the back should not go on talking. */
export const screen = {
  get visible(): boolean {
    return visible;
  },
};
