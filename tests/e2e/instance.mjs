// A whole instance for tests: `scripts/up` on a fresh data folder and ports of its own, driven from outside only.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, readlinkSync, existsSync, rmSync, writeFileSync, cpSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const artefacts = path.join(root, 'build/artefacts');

/** Nobody listens on this port now. */
const isFree = (port) =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** The first of 20 ports (scripts/up --port) whose `used` first ones are free; above those that the kernel hands to clients. */
export async function freePorts(used = 4) {
  for (let tries = 0; tries < 200; tries++) {
    const port = 61_000 + 20 * Math.floor(Math.random() * 220);
    if ((await Promise.all(Array.from({ length: used }, (_, i) => port + i).map(isFree))).every(Boolean)) return port;
  }
  throw new Error('no free ports');
}

/** What makes further waiting pointless: thrown by a check of `until`, it ends the wait. */
export class Hopeless extends Error {}

/** Waits until `check` gives something true; asks again each `every` ms; throws with `what` after `limit` ms. */
export async function until(what, check, limit = 30_000, every = 100) {
  const deadline = Date.now() + limit;
  let last;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
      last = undefined;
    } catch (error) {
      if (error instanceof Hopeless) throw new Error(`${what}: ${error.message}`);
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limit} ms${last ? ` (${last.message})` : ''}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

export class Instance {
  /** Starts `scripts/up`; resolves when its endpoints.json stands and the site answers. */
  static async start(name, options = [], { before = [] } = {}) {
    const instance = new Instance();
    instance.before = before; // what starts it, such as another network's `ip netns exec NAME`
    // Short: sockets lie below it, and a path to a socket has 107 bytes.
    instance.data = mkdtempSync('/tmp/rb-');
    instance.name = name;
    instance.port = await freePorts();
    instance.options = options;
    try {
      await instance.up();
    } catch (error) {
      await instance.stop(); // nobody else has it to stop
      throw error;
    }
    return instance;
  }

  async up() {
    mkdirSync(artefacts, { recursive: true });
    rmSync(path.join(this.data, 'endpoints.json'), { force: true });
    const [program, ...words] = [...this.before, path.join(root, 'scripts/up'), '--data', this.data, '--port', String(this.port), ...this.options];
    this.process = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.output = '';
    this.process.stdout.on('data', (bytes) => (this.output += bytes));
    this.process.stderr.on('data', (bytes) => (this.output += bytes));
    this.exited = new Promise((resolve) => this.process.on('exit', (code) => resolve(code)));
    await until('endpoints.json', () => (this.mustRun(), existsSync(path.join(this.data, 'endpoints.json'))), 300_000);
    this.endpoints = JSON.parse(readFileSync(path.join(this.data, 'endpoints.json'), 'utf8'));
    await until('the site', async () => (this.mustRun(), (await fetch(this.endpoints.site)).ok));
  }

  /** For checks of `until`: an instance that has ended won't bring what is waited for. */
  mustRun() {
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) throw new Hopeless(`scripts/up has ended (${exitCode ?? signalCode}): ${this.output}`);
  }

  /** The broadcast that is on now, of this stream if one is named. */
  async liveNow(stream) {
    this.mustRun();
    const { items } = await this.api('GET', '/lives');
    return items.find((live) => live.state === 'live' && (stream === undefined || live.stream === stream));
  }

  /** Ends it as Ctrl-C does, keeps its logs as artefacts, removes its data. */
  async stop({ keep = false } = {}) {
    if (this.process.exitCode === null) this.process.kill('SIGINT');
    // Each service has 15 s before its supervisor kills it.
    const late = setTimeout(() => this.process.kill('SIGKILL'), 60_000);
    const code = await this.exited;
    clearTimeout(late);
    const logs = path.join(artefacts, 'logs', this.name);
    mkdirSync(logs, { recursive: true });
    writeFileSync(path.join(logs, 'up.txt'), this.output);
    if (existsSync(path.join(this.data, 'logs'))) cpSync(path.join(this.data, 'logs'), logs, { recursive: true, filter: (from) => !from.endsWith('/lock') });
    if (!keep) rmSync(this.data, { recursive: true, force: true });
    return code;
  }

  url(target) {
    return new URL(target, this.endpoints.site).href;
  }

  /** A call to the public API as the administrator (or with another token); the parsed answer. */
  async api(method, target, body, token = this.endpoints.admin_token) {
    const answer = await fetch(this.url(`/api/v1${target}`), {
      method,
      headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(body ? { 'Content-Type': 'application/json' } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
    const text = await answer.text();
    if (!answer.ok) throw Object.assign(new Error(`${method} ${target}: ${answer.status} ${text}`), { status: answer.status });
    return text ? JSON.parse(text) : null;
  }

  /** A bearer token of an account, which is made when there is none of that name: what uploads and /me need. */
  async userToken(name = 'creator') {
    await this.api('POST', '/admin/users', { name }).catch((error) => {
      if (error.status !== 409) throw error;
    });
    return (await this.api('POST', `/admin/users/${name}/tokens`, { label: 'tests' })).token;
  }

  /** Waits until a video of the token's owner is ready; at once an error when it has failed. */
  async videoReady(video, token, limit = 240_000) {
    return until(`the video ${video} is ready`, async () => {
      this.mustRun();
      const mine = await this.api('GET', `/me/videos/${video}`, null, token);
      if (mine.state === 'failed') throw new Hopeless(JSON.stringify(mine.work));
      return mine.state === 'ready' && mine;
    }, limit, 500);
  }

  /** scripts/ribalta for this instance; resolves to {code, stdout, stderr}. */
  cli(args, options = {}) {
    return run(path.join(root, 'scripts/ribalta'), ['--data', this.data, ...args], options);
  }

  log(service) {
    const file = path.join(this.data, 'logs', service, 'current');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Process id of a service's daemon, as its supervisor says. */
  pid(service) {
    const { stdout } = spawnSync('s6-svstat', ['-o', 'pid', path.join(this.data, 'run/services', service)], { encoding: 'utf8' });
    return Number(stdout.trim());
  }

  /** As when the machine loses power: everything of it dies at once, with nothing said to anybody. Its data stays. */
  async perish() {
    // Whoever names the data folder, or lies in it, as supervisors do: they would start anew what was killed.
    const isOurs = (pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(this.data) || readlinkSync(`/proc/${pid}/cwd`).startsWith(this.data);
      } catch (error) {
        if (!['ENOENT', 'ESRCH', 'EACCES'].includes(error.code)) throw error; // it has just ended, or is not ours
        return false;
      }
    };
    const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter(isOurs);
    await until('nothing of it runs', () => {
      const left = pids();
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch (error) {
          if (error.code !== 'ESRCH') throw error;
        }
      }
      return left.length === 0;
    }, 30_000, 50);
    await this.exited;
  }

  /** Resolves when the service's readiness came after it was killed. */
  async killed(service, signal = 'SIGKILL', pid = this.pid(service)) {
    process.kill(pid, signal);
    if (pid === this.pid(service) || this.pid(service) <= 0) {
      await until(`${service} again`, () => this.pid(service) > 0 && this.pid(service) !== pid, 60_000, 50);
    }
    await until(`${service} is ready again`, () => this.isReady(service), 60_000, 50);
  }

  /** As its supervisor says. */
  isReady(service) {
    const { stdout } = spawnSync('s6-svstat', ['-o', 'up,ready', path.join(this.data, 'run/services', service)], { encoding: 'utf8' });
    return stdout.trim() === 'true true';
  }
}

/** Nothing that names the data folder is left: the last loggers see the end of what they log a moment after it. */
export async function nothingRuns(data) {
  let left = '';
  await until('nothing of it runs on', () => (left = spawnSync('pgrep', ['-af', data], { encoding: 'utf8' }).stdout) === '', 3_000, 20).catch((error) => {
    throw new Error(`${error.message}: ${left}`);
  });
}

export function run(command, args, { input, timeout = 120_000, env = {}, cwd } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (bytes) => (stdout += bytes));
    child.stderr.on('data', (bytes) => (stderr += bytes));
    child.stdin.end(input);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeout);
    const ended = (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr: late ? `${stderr}\nended after ${timeout} ms` : stderr });
    };
    child.on('error', reject);
    child.on('close', ended); // after `exit`, once all that it said was read
    child.on('exit', (code, signal) => late && ended(code, signal)); // its own children may hold the pipes for ever
  });
}

/** ffmpeg publishing a pattern with a tone (or `inputs`), as a camera would; `stop` ends it cleanly, `kill` cuts the line. */
export function publish(url, { size = '426x240', rate = 30, gop = 60, seconds = 600, video = true, audio = true, inputs } = {}) {
  const args = ['-nostdin', '-v', 'warning', '-re'];
  if (inputs) args.push(...inputs);
  else if (video) args.push('-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`);
  if (audio && !inputs) args.push('-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000');
  args.push('-t', String(seconds));
  if (video) args.push('-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-g', String(gop), '-b:v', '500k', '-bf', '0');
  if (audio) args.push('-c:a', 'aac', '-b:a', '96k');
  const child = spawn('ffmpeg', [...args, '-f', 'flv', url], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (bytes) => (log += bytes));
  const exited = new Promise((resolve) => child.on('exit', resolve));
  return {
    get log() {
      return log;
    },
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    exited,
    /** For checks of `until`: a publisher that has left won't bring what is waited for. */
    mustRun() {
      if (child.exitCode !== null || child.signalCode !== null) throw new Hopeless(`the publisher has left (${child.exitCode ?? child.signalCode}): ${log}`);
    },
    async stop() {
      child.kill('SIGINT');
      await exited;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** A short file with picture and sound, made once a run. */
export async function clip(file, { size = '540x960', rate = 30, seconds = 6, extra = [] } = {}) {
  const made = await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`, '-f', 'lavfi', '-i', 'sine=frequency=330', '-t', String(seconds),
    '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac', ...extra, file]);
  if (made.code !== 0) throw new Error(`ffmpeg: ${made.stderr}`);
  return file;
}
