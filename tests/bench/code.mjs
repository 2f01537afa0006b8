// A moment of wall clock as a picture: 42 bits of Unix milliseconds and a 6 bit check, in 2 rows of 24 blocks, black or
// white, large enough to survive any rung of the ladder.
export const columns = 24;
export const rows = 2;

const check = (ms) => {
  let sum = 0;
  for (let rest = ms; rest > 0; rest = Math.floor(rest / 64)) sum = (sum * 5 + (rest % 64) + 1) % 64;
  return sum;
};

export function bitsOf(ms) {
  const bits = [];
  for (let i = 41; i >= 0; i--) bits.push(Math.floor(ms / 2 ** i) % 2);
  for (let i = 5; i >= 0; i--) bits.push(Math.floor(check(ms) / 2 ** i) % 2);
  return bits;
}

/** @returns the milliseconds, or null when the picture holds no good code. */
export function msOf(bits) {
  let ms = 0;
  for (let i = 0; i < 42; i++) ms = ms * 2 + bits[i];
  let sum = 0;
  for (let i = 42; i < 48; i++) sum = sum * 2 + bits[i];
  return sum === check(ms) ? ms : null;
}

/** A yuv420p frame with the code over the upper half and something that moves below it. */
export function frame(ms, width, height, count) {
  const bytes = Buffer.alloc((width * height * 3) / 2, 128);
  bytes.fill(40, 0, width * height);
  const bits = bitsOf(ms);
  const blockWidth = Math.floor(width / columns);
  const blockHeight = Math.floor(height / 4);
  bits.forEach((bit, i) => {
    const x0 = (i % columns) * blockWidth;
    const y0 = Math.floor(i / columns) * blockHeight;
    for (let y = y0; y < y0 + blockHeight; y++) bytes.fill(bit ? 235 : 16, y * width + x0, y * width + x0 + blockWidth);
  });
  const x = (count * 7) % (width - 16);
  for (let y = height - 40; y < height - 8; y++) bytes.fill(200, y * width + x, y * width + x + 16);
  return bytes;
}

/** The bits in a picture of one byte a pixel. */
export function bitsIn(luma, width, height, stride = width, step = 1) {
  const bits = [];
  const blockWidth = width / columns;
  const blockHeight = height / 4;
  for (let i = 0; i < columns * rows; i++) {
    const x = Math.floor(((i % columns) + 0.5) * blockWidth);
    const y = Math.floor((Math.floor(i / columns) + 0.5) * blockHeight);
    bits.push(luma[(y * stride + x) * step] > 125 ? 1 : 0);
  }
  return bits;
}
