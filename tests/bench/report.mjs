// Rows that scripts/bench prints: ours, the peer's, their ratio (ours / peer).
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
export const median = (values) => quantile(values, 0.5);

/** Rows {name, unit, ours, peer, peer_name, ratio, min, max}; without a peer those three are null, and min and max are ours'. */
export function row(name, unit, ours, peer = [], peerName = null) {
  const ratios = ours.map((value, i) => value / peer[i]).filter(Number.isFinite);
  return {
    name, unit, ours: median(ours), peer: peer.length ? median(peer) : null, peer_name: peerName,
    ratio: peer.length ? median(ours) / median(peer) : null,
    min: ratios.length ? Math.min(...ratios) : Math.min(...ours), max: ratios.length ? Math.max(...ratios) : Math.max(...ours),
  };
}

const number = (value) => (value === null ? '–' : Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

export function print(rows, json) {
  for (const row of rows) {
    for (const [key, value] of Object.entries(row)) {
      if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`${row.name}: ${key} could not be measured`);
    }
  }
  if (json) {
    console.log(JSON.stringify(rows, null, 1));
    return;
  }
  console.log(`${'case'.padEnd(34)} ${'unit'.padEnd(8)} ${'ours'.padStart(9)} ${'peer'.padStart(9)}  ${'ratio'.padStart(6)}  (min … max)  peer`);
  for (const { name, unit, ours, peer, peer_name: peerName, ratio, min, max } of rows) {
    console.log(`${name.padEnd(34)} ${unit.padEnd(8)} ${number(ours).padStart(9)} ${number(peer).padStart(9)}  ${number(ratio).padStart(6)}  (${number(min)} … ${number(max)})  ${peerName ?? ''}`);
  }
}

/** What was measured on. */
export function machine() {
  const [first] = cpus();
  const { PRETTY_NAME: system } = Object.fromEntries(readFileSync('/etc/os-release', 'utf8').split('\n').map((line) => line.replaceAll('"', '').split('=')));
  return `${cpus().length} cores (${first.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GB, ${system}, Linux ${release()}`;
}

export function version(command, ...args) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${stdout ?? ''}${stderr ?? ''}`.split('\n')[0].trim();
}
