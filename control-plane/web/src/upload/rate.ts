/** How fast bytes travel, smoothed over about three seconds so that the time left does not jump. */
const windowMs = 3_000;

export class Rate {
  private samples: { sent: number; at: number }[] = [];

  /** @return bytes a second over the last three seconds; 0 until two moments are known. */
  add(sent: number, at: number): number {
    const last = this.samples.at(-1);
    if (last && sent < last.sent) this.samples = [];
    this.samples.push({ sent, at });
    while (this.samples.length > 2 && at - this.samples[0]!.at > windowMs) this.samples.shift();
    const first = this.samples[0]!;
    return at > first.at ? ((sent - first.sent) * 1000) / (at - first.at) : 0;
  }

  reset(): void {
    this.samples = [];
  }
}
