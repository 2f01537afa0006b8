import assert from 'node:assert/strict';
import test from 'node:test';
import * as format from '../../src/lib/format';
import { Rate } from '../../src/upload/rate';

/** Intl puts no-break spaces between a number and its unit. */
const plain = (text: string): string => text.replace(/[\u00a0\u202f]/g, ' ');

test('a clock counts whole seconds that have passed', () => {
  assert.equal(format.clock(0), '0:00');
  assert.equal(format.clock(999), '0:00');
  assert.equal(format.clock(75_300), '1:15');
  assert.equal(format.clock(3_599_999), '59:59');
  assert.equal(format.clock(3_600_000), '1:00:00');
  assert.equal(format.clock(-5), '0:00');
});

test('bytes are told in the unit that people use for them', () => {
  assert.equal(plain(format.bytes(0, 'en')), '0 bytes');
  assert.equal(plain(format.bytes(999, 'en')), '999 bytes');
  assert.equal(plain(format.bytes(1_000, 'en')), '1 kB');
  assert.equal(plain(format.bytes(1_536_000, 'en')), '1.5 MB');
  assert.equal(plain(format.bytes(1_536_000, 'it')), '1,5 MB');
  assert.equal(plain(format.bytes(4_294_967_296, 'en')), '4.3 GB');
});

test('bit rates are told in kb/s under a megabit, and in Mb/s from there', () => {
  assert.equal(format.bitrate(999_000, 'en'), '999 kb/s');
  assert.equal(format.bitrate(1_000_000, 'en'), '1 Mb/s');
  assert.equal(format.bitrate(2_513_000, 'it'), '2,5 Mb/s');
});

test('a hundred percent means done, never nearly', () => {
  assert.equal(format.percent(0.999, 'en'), '99%');
  assert.equal(format.percent(1, 'en'), '100%');
  assert.equal(format.percent(0.29, 'en'), '29%');
  assert.equal(format.percent(1.2, 'en'), '100%');
});

test('the past is told in its largest unit', () => {
  const now = Date.parse('2026-11-23T12:00:00Z');
  assert.equal(format.ago('2026-11-23T11:59:30Z', now, 'en'), 'just now');
  assert.equal(format.ago('2026-11-23T11:59:00Z', now, 'en'), '1 minute ago');
  assert.equal(format.ago('2026-11-23T09:00:00Z', now, 'it'), '3 ore fa');
  assert.equal(format.ago('2026-11-22T11:00:00Z', now, 'en'), 'yesterday');
});

test('a clock of the server that is ahead of ours does not make a future', () => {
  assert.equal(format.ago('2026-11-23T12:00:05Z', Date.parse('2026-11-23T12:00:00Z'), 'it'), 'ora');
});

test('what remains is rounded up', () => {
  assert.equal(plain(format.remaining(0.2, 'en')), '1 sec');
  assert.equal(plain(format.remaining(59.5, 'en')), '60 sec');
  assert.equal(plain(format.remaining(61, 'en')), '2 min');
  assert.equal(plain(format.remaining(3_601, 'en')), '2 hr');
});

test('a rung is named after its short side, and after its rate when that is high', () => {
  assert.equal(format.rungName(1280, 720, 30), '720p');
  assert.equal(format.rungName(720, 1280, 29.97), '720p');
  assert.equal(format.rungName(1920, 1080, 59.94), '1080p60');
});

test('a file name makes a first title without its ending', () => {
  assert.equal(format.titleFromFilename('holiday_2026.final.mp4', 200), 'holiday 2026.final');
  assert.equal(format.titleFromFilename('.mp4', 200), '.mp4');
  assert.equal(format.titleFromFilename('no ending', 200), 'no ending');
  assert.equal(format.titleFromFilename('🎭🎭🎭.mov', 2), '🎭🎭');
});

test('a speed needs two moments, forgets old ones, and survives a step back after a resume', () => {
  const rate = new Rate();
  assert.equal(rate.add(0, 0), 0);
  assert.equal(rate.add(1_000_000, 1_000), 1_000_000);
  for (let second = 2; second <= 10; second += 1) rate.add(1_000_000 + (second - 1) * 500_000, second * 1_000);
  assert.equal(rate.add(6_000_000, 11_000), 500_000);
  assert.equal(rate.add(2_000_000, 12_000), 0);
  assert.equal(rate.add(2_100_000, 13_000), 100_000);
});
