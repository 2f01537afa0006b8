import { recall, remember } from '../lib/store';

/**
 * Sound is one setting for all players. Browsers let a page start with sound only after it was used: until then a player
 * is muted by the browser (`held`), which is not the person's choice and is not remembered.
 */
let on = $state(recall('sound') === 'on');
let held = $state(false);

export const sound = {
  get on(): boolean {
    return on;
  },
  get muted(): boolean {
    return !on || held;
  },
  set(wanted: boolean): void {
    on = wanted;
    held = false;
    remember('sound', wanted ? 'on' : 'off');
  },
  toggle(): void {
    this.set(this.muted);
  },
  hold(): void {
    held = true;
  },
};

/** Plays, without sound when the browser does not allow it otherwise. False: not even that (or it was paused meanwhile). */
export async function start(video: HTMLVideoElement): Promise<boolean> {
  try {
    await video.play();
    return true;
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== 'NotAllowedError' || video.muted) return false;
    sound.hold();
    video.muted = true;
    try {
      await video.play();
      return true;
    } catch {
      return false;
    }
  }
}
