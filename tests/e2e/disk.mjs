// The disk below an instance's daemons, to be filled and broken by tests: see tests/faults/disk_faults.c.
import { appendFileSync, chmodSync, closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { root, run } from './instance.mjs';

/** Those that write below the data folder. */
const daemons = ['control', 'packager', 'ingest', 'transcode'];
/** Of the numbers in the control file, in its order. */
const at = { full: 0, full_per_mille: 4, broken_per_mille: 8, seed: 12, no_space: 16, broken: 20, cut: 24, syncs: 28 };

export class Disk {
  /** Puts it below the daemons of an instance, which are restarted for it. */
  static async below(instance, seed) {
    const disk = new Disk();
    const library = path.join(instance.data, 'run/disk_faults.so');
    disk.control = path.join(instance.data, 'run/disk_faults');
    const made = await run('clang-19', ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror', '-o', library, path.join(root, 'tests/faults/disk_faults.c')]);
    if (made.code !== 0) throw new Error(`clang-19: ${made.stderr}`);
    writeFileSync(disk.control, Buffer.alloc(32));
    disk.#set('seed', seed);
    chmodSync(library, 0o755);
    chmodSync(disk.control, 0o666); // the daemons may run as another user
    appendFileSync(path.join(instance.data, 'run/environment'), `LD_PRELOAD=${library}\nRIBALTA_FAULTS_CONTROL=${disk.control}\nRIBALTA_FAULTS_BELOW=${instance.data}\n`);
    for (const daemon of daemons) await instance.killed(daemon, 'SIGTERM');
    return disk;
  }

  /** From now on nothing gets longer; with a share under 1 only so many of the writes meet it. */
  fill(share = 1) {
    this.#set('full_per_mille', Math.round(share * 1000));
    this.#set('full', 1);
  }
  /** From now on this share of writes, syncs and renames fails. */
  break(share) {
    this.#set('broken_per_mille', Math.round(share * 1000));
  }
  mend() {
    this.#set('full', 0);
    this.#set('broken_per_mille', 0);
  }
  /** What failed so far: {no_space, broken, cut}. */
  get failures() {
    const numbers = readFileSync(this.control);
    return Object.fromEntries(['no_space', 'broken', 'cut'].map((name) => [name, numbers.readUInt32LE(at[name])]));
  }

  /** In place: the file is mapped. */
  #set(name, value) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    const file = openSync(this.control, 'r+');
    writeSync(file, bytes, 0, 4, at[name]);
    closeSync(file);
  }
}
