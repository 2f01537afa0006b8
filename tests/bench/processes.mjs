// What processes cost, as the kernel counts it, and peers that run beside us for as long as a bench takes.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { until } from '../e2e/instance.mjs';

const ticks = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);

/** A process and all that it started, by whichever thread, and that runs. */
export function family(pid) {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) => readThread(pid, thread));
  return [pid, ...children.flatMap(family)];
}
function readThread(pid, thread) {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return []; // the thread has just ended
    throw error;
  }
}

/** CPU seconds (user and system) so far of these processes and theirs. A child that ended counts once it was waited for. */
export function cpuSeconds(...pids) {
  let sum = 0;
  for (const pid of pids.flatMap(family)) {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // from the third on; a name may hold spaces
    sum += fields.slice(11, 15).reduce((total, field) => total + Number(field), 0) / ticks;
  }
  return sum;
}

/** Memory that these processes hold (VmRSS), in MB. Pages that forks share count in each. */
export function residentMb(...pids) {
  let sum = 0;
  for (const pid of pids.flatMap(family)) sum += Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  return sum;
}

/** CPU seconds that `work` cost these processes, and its wall time. */
export async function costing(pids, work) {
  const before = cpuSeconds(...pids);
  const started = performance.now();
  const result = await work();
  return { cpu: cpuSeconds(...pids) - before, seconds: (performance.now() - started) / 1000, result };
}

/** CPU seconds (user and system) of a command and its children from begin to end, wall seconds, and what it printed. */
export function measured(command, args) {
  const script = 'TIMEFORMAT="%U %S %R"; { time "$@" 1>&3 2>&4; } 2>&5 3>&1';
  const { status, stdout, stderr, output } = spawnSync('bash', ['-c', script, 'bash', command, ...args], {
    env: { ...process.env, LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`${command} failed: ${output[4]}${stderr}`);
  const [user, system, wall] = output[5].trim().split(/\s+/).map(Number);
  return { cpu: user + system, seconds: wall, out: stdout };
}

/** A program that serves until it is stopped. */
export class Server {
  static async start(command, args, ready, options = {}) {
    const server = new Server();
    server.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    server.output = '';
    for (const stream of [server.child.stdout, server.child.stderr]) stream.on('data', (bytes) => (server.output = (server.output + bytes).slice(-4000)));
    server.exited = new Promise((resolve) => server.child.on('exit', resolve));
    server.child.on('error', (error) => (server.output += error));
    try {
      await until(`${command} serves`, () => {
        if (server.child.exitCode !== null) throw new Error(`it has ended: ${server.output}`);
        return ready();
      });
    } catch (error) {
      server.child.kill('SIGKILL');
      throw error;
    }
    return server;
  }

  get pid() {
    return this.child.pid;
  }

  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    await this.exited;
  }
}

/** Debian's nginx with a configuration of the bench; `ready` as for Server. Its processes run as who we are. */
export async function startNginx(file, ready) {
  const checked = spawnSync('/usr/sbin/nginx', ['-t', '-q', '-e', 'stderr', '-c', file], { encoding: 'utf8' });
  if (checked.status !== 0) throw new Error(`nginx: ${checked.stderr}`);
  return Server.start('/usr/sbin/nginx', ['-e', 'stderr', '-c', file], ready);
}

/** What a peer's nginx.conf begins with, the same in all benches: as many workers as ours has (`auto`), no logs. */
export const nginxHead = (folder, modules = '') => `${modules}
${process.getuid() === 0 ? 'user root;' : ''}
daemon off;
pid ${folder}/nginx.pid;
worker_processes auto;
worker_rlimit_nofile ${Math.min(65_536, Number(spawnSync('bash', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).stdout.replace('unlimited', '65536')))};
events { worker_connections 8000; }
`;

export const nginxHttp = (folder) => `
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log off;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 65s;
  keepalive_requests 10000;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name}_temp;`).join('\n  ')}
`;

/** Takes one daemon of an instance down, for good. */
export async function stopService(instance, name) {
  spawnSync('s6-svc', ['-d', path.join(instance.data, 'run/services', name)]);
  await until(`${name} is down`, () => instance.pid(name) <= 0);
}

/** This program's package, with its version; a peer that is not there is an error in words. */
export function need(program, name = program) {
  if (spawnSync('bash', ['-c', 'command -v "$1"', 'bash', program]).status !== 0 && !existsSync(program)) throw new Error(`${name} is not installed; scripts/bench installs it`);
}
