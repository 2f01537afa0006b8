// OBS Studio under Xvfb, with a home folder of its own.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Hopeless } from './instance.mjs';

const ini = (sections) => Object.entries(sections).map(([name, values]) => `[${name}]\n${Object.entries(values).map(([key, value]) => `${key}=${value}`).join('\n')}\n`).join('\n');

/** Writes what OBS 29 reads at start: one scene with a looping file, streaming to `server` with `key`. */
function writeHome({ server, key, file, width, height, fps }) {
  const home = mkdtempSync('/tmp/rb-obs-');
  const config = path.join(home, '.config/obs-studio');
  mkdirSync(path.join(config, 'basic/profiles/rb'), { recursive: true });
  mkdirSync(path.join(config, 'basic/scenes'), { recursive: true });
  mkdirSync(path.join(home, 'run'), { mode: 0o700 });
  writeFileSync(path.join(config, 'global.ini'), ini({
    General: { FirstRun: true, LastVersion: 486539266, 'Pre19Defaults': false, 'Pre21Defaults': false, 'Pre23Defaults': false, 'Pre24.1Defaults': false, ConfirmOnExit: false, EnableAutoUpdates: false },
    BasicWindow: { WarnBeforeStartingStream: false, WarnBeforeStoppingStream: false, SysTrayEnabled: false },
    Basic: { Profile: 'rb', ProfileDir: 'rb', SceneCollection: 'rb', SceneCollectionFile: 'rb' },
    OBSWebSocket: { FirstLoad: false, ServerEnabled: false },
  }));
  writeFileSync(path.join(config, 'basic/profiles/rb/basic.ini'), ini({
    General: { Name: 'rb' },
    Output: { Mode: 'Simple', Reconnect: true, RetryDelay: 2, MaxRetries: 25 },
    SimpleOutput: { StreamEncoder: 'x264', VBitrate: 800, ABitrate: 96, UseAdvanced: true, Preset: 'ultrafast', x264Settings: `keyint=${fps * 2} bframes=2` },
    Video: { BaseCX: width, BaseCY: height, OutputCX: width, OutputCY: height, FPSType: 1, FPSInt: fps },
    Audio: { SampleRate: 44100, ChannelSetup: 'Stereo' },
  }));
  writeFileSync(path.join(config, 'basic/profiles/rb/service.json'), JSON.stringify({ type: 'rtmp_custom', settings: { server, key, use_auth: false, bwtest: false } }));
  const item = { name: 'Media', id: 1, visible: true, align: 5, rot: 0.0, pos: { x: 0.0, y: 0.0 }, scale: { x: 1.0, y: 1.0 }, bounds_type: 2, bounds_align: 0, bounds: { x: width, y: height } };
  writeFileSync(path.join(config, 'basic/scenes/rb.json'), JSON.stringify({
    name: 'rb', current_scene: 'Scene', current_program_scene: 'Scene', scene_order: [{ name: 'Scene' }],
    sources: [
      { id: 'ffmpeg_source', versioned_id: 'ffmpeg_source', name: 'Media', enabled: true, mixers: 255, volume: 1.0, settings: { is_local_file: true, local_file: file, looping: true, hw_decode: false } },
      { id: 'scene', versioned_id: 'scene', name: 'Scene', enabled: true, settings: { id_counter: 1, items: [item] } },
    ],
  }));
  return home;
}

export class Obs {
  static async start({ server, key, file, width = 424, height = 240, fps = 20 }) {
    const obs = new Obs();
    obs.home = writeHome({ server, key, file, width, height, fps });
    // Xvfb chooses a display that is free and says its number once it listens there.
    obs.screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1024x700x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    obs.display = `:${await new Promise((resolve, reject) => {
      obs.screen.stdio[3].once('data', (number) => resolve(String(number).trim()));
      obs.screen.once('error', reject);
      obs.screen.once('exit', (code) => reject(new Error(`Xvfb ended with ${code}`)));
    })}`;
    obs.process = spawn('dbus-run-session', ['--', 'obs', '--startstreaming', '--profile', 'rb', '--collection', 'rb', '--scene', 'Scene', '--multi', '--disable-missing-files-check', '--verbose'], {
      stdio: 'ignore',
      detached: true, // a process group of its own, to be ended whole
      env: { ...process.env, HOME: obs.home, XDG_CONFIG_HOME: path.join(obs.home, '.config'), XDG_RUNTIME_DIR: path.join(obs.home, 'run'), DISPLAY: obs.display, LIBGL_ALWAYS_SOFTWARE: '1', QT_QPA_PLATFORM: 'xcb' },
    });
    obs.exited = new Promise((resolve) => obs.process.on('exit', resolve));
    return obs;
  }

  /** For checks of `until`: OBS that has ended won't bring what is waited for. */
  mustRun() {
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) throw new Hopeless(`OBS has ended (${exitCode ?? signalCode}): ${this.log.split('\n').slice(-15).join('\n')}`);
  }

  /** OBS's own log of this run. */
  get log() {
    const folder = path.join(this.home, '.config/obs-studio/logs');
    try {
      return readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8')).join('\n');
    } catch {
      return '';
    }
  }

  async stop() {
    try {
      process.kill(-this.process.pid, 'SIGINT');
      const ended = await Promise.race([this.exited.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 8000))]);
      if (!ended) process.kill(-this.process.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error; // it had ended by itself
    }
    this.screen.kill();
    await this.exited;
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}
