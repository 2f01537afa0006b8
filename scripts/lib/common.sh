# What the scripts share: messages, the machine, packages. Sourced, not run.
set -euo pipefail

ribalta_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'; else bold='' dim='' red='' plain=''; fi

# Paths stand in nginx's configuration, in run scripts of s6 and in build files.
plain_path='[A-Za-z0-9._/+@-]+'

say() { printf '%s\n' "$*"; }
step() { printf '%s▸ %s%s\n' "$bold" "$*" "$plain"; }
warn() { printf '%swarning:%s %s\n' "$bold" "$plain" "$*" >&2; }
# One clear sentence, and out.
refuse() {
  printf '%s%s%s\n' "$red" "$*" "$plain" >&2
  exit 1
}

# Debian 12 only: the packages, their versions and the nginx module's interface are Debian 12's.
require_debian_12() {
  local name=unknown
  [ -r /etc/os-release ] && name=$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-unknown}")
  if ! (. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ]); then
    refuse "Ribalta runs on Debian 12 (bookworm); this system is $name. Use a Debian 12 machine, virtual machine or container."
  fi
  [[ $ribalta_root =~ ^$plain_path$ ]] ||
    refuse "The checkout's path may hold letters, digits and . _ / + @ - only, and is $ribalta_root. Move it to another folder."
}

# Packages, by what they are for. `up` installs run and build; `--demo` adds demo; `test` and `bench` add theirs.
packages_run=(ca-certificates curl jq openssl s6 nginx redis-server libsodium23)
packages_build=(clang-19 libstdc++-12-dev cmake ninja-build pkg-config ccache mold libboost1.81-dev libboost-json1.81-dev
  libboost-url1.81-dev libsoci-dev libsqlite3-dev libpq-dev nginx-dev libhiredis-dev libavcodec-dev libavformat-dev
  libavfilter-dev libswscale-dev libswresample-dev libx264-dev libvpx-dev libsvtav1enc-dev libseccomp-dev
  libcurl4-openssl-dev libsodium-dev libpugixml-dev libssl-dev libspdlog-dev libfmt-dev libcli11-dev libtomlplusplus-dev
  prometheus-cpp-dev libeigen3-dev libhnswlib-dev)
packages_demo=(ffmpeg fonts-dejavu-core)
packages_test=(doctest-dev libbenchmark-dev ffmpeg fonts-dejavu-core postgresql chromium clang-tidy-19 clang-format-19
  libclang-rt-19-dev llvm-19 git procps iproute2 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav rtmpdump obs-studio obs-plugins xvfb xauth dbus
  libgl1-mesa-dri sqlite3 time)
packages_bench=(ffmpeg curl wrk varnish libnginx-mod-rtmp)

# Node 18 (Debian's) or newer with npm builds the web application; what is there already is used.
packages_web=()
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then packages_web=(nodejs npm); fi

# git on the checkout, also where it belongs to another user than ours (root in a container).
tree_git() { git -C "$ribalta_root" -c safe.directory="$ribalta_root" "$@"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

package_missing() { # NAME… → those that are not installed, a line each
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
  done
}

# The command in a process group of its own, in the background; its id is in `job`. A signal that comes to us (Ctrl-C
# on a terminal comes to the whole foreground) then reaches it when we say so, and it alone.
job=''
start_job() {
  set -m
  "$@" </dev/null &
  job=$!
  set +m
}

# Runs a command; its exit code. Ctrl-C, or a signal to us alone, ends all that it started, and then us.
run_job() {
  local rc=0
  trap 'stop_job; exit 130' INT
  trap 'stop_job; exit 143' TERM HUP
  start_job "$@"
  wait "$job" || rc=$?
  trap - INT TERM HUP
  job=''
  return "$rc"
}

# A signal may come when a job has begun and `job` doesn't have its id yet.
note_started_job() {
  if [ -z "$job" ] && [ "${!:-}" != "${supervisor:-}" ] && jobs -pr | grep -qx "${!:-}"; then job=$!; fi
}

stop_job() {
  trap '' INT TERM HUP
  progress_end
  note_started_job
  [ -n "$job" ] || return 0
  # Who was started first may end first: the group is gone once the last of it is. Some take longer, some ignore SIGINT.
  local signal tries
  for signal in INT TERM KILL; do
    kill "-$signal" -- "-$job" 2>/dev/null || break
    tries=0
    while [ "$tries" -lt 60 ] && kill -0 -- "-$job" 2>/dev/null; do
      tries=$((tries + 1))
      sleep 0.05 # no event tells the end of a group
    done
  done
  wait "$job" 2>/dev/null || true
  job=''
}

apt_install() { # LOG NAME…
  local log=$1
  shift
  { as_root apt-get -q update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"; } >"$log" 2>&1
}

# Installs what is missing of the named packages. System services of nginx, Redis, PostgreSQL and Varnish are neither started
# nor left enabled by it: ours run as children of `up`, on sockets in the data folder.
install_packages() {
  local missing=() fresh_services=() unit
  mapfile -t missing < <(package_missing "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    refuse "Packages are missing, and there is neither root nor sudo here. Run this once as root: apt-get install ${missing[*]}"
  fi
  step "Installing ${#missing[@]} Debian packages (and what they need)"
  as_root true || refuse "sudo did not let us. Run this once as root: apt-get install ${missing[*]}" # it may ask for a password
  for unit in nginx redis-server postgresql varnish; do
    if printf '%s\n' "${missing[@]}" | grep -qx "$unit"; then fresh_services+=("$unit"); fi
  done
  local policy=/usr/sbin/policy-rc.d made_policy=false
  local log rc=0 total=0 fetched=0 set_up=0 shown='' ends=0
  log=$(mktemp)
  # From here on the way leads to the end, where all is tidied up: packages are never left half set up.
  trap 'ends=130; progress_end; say "Stopping as soon as apt is done: packages are never left half set up."' INT
  trap 'ends=143' TERM HUP
  if [ ! -e "$policy" ] || grep -q 'scripts of Ribalta' "$policy"; then
    printf '#!/bin/sh\n# Written by scripts of Ribalta while they install packages: no service is started.\nexit 101\n' |
      as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    made_policy=true
  fi
  start_job apt_install "$log" "${missing[@]}"
  while kill -0 "$job" 2>/dev/null; do
    # What the lists fetched comes before the line with the totals.
    read -r total fetched set_up < <(awk '/ newly installed, /{t = $1 + $3; g = 0} /^Get:/{g++} /^Setting up /{s++} END{print t + 0, g + 0, s + 0}' "$log")
    if [ "$shown" != "$fetched $set_up" ]; then
      if [ "$set_up" = 0 ]; then progress "$fetched" "$total" "fetched"; else progress "$set_up" "$total" "set up"; fi
      shown="$fetched $set_up"
    fi
    sleep 0.5 || true # apt says nothing that could be waited for; Ctrl-C ends the sleep
  done
  wait "$job" || rc=$?
  job=''
  progress_end
  if $made_policy; then as_root rm -f "$policy"; fi
  for unit in "${fresh_services[@]}"; do
    as_root deb-systemd-helper disable "$unit.service" >/dev/null 2>&1 || true # no systemd: nothing was enabled
  done
  trap - INT TERM HUP
  [ "$ends" = 0 ] || exit "$ends"
  if [ "$rc" != 0 ]; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    refuse "Installing packages failed (apt-get, above). Check the network and /etc/apt, then run this again."
  fi
  rm -f "$log"
}

# progress N M WORDS: one line that moves on a terminal; elsewhere a line each tenth.
progress_tenth=-1
progress() {
  local n=$1 m=$2 words=$3
  [ "$m" -gt 0 ] 2>/dev/null || return 0
  if [ -t 1 ]; then
    printf '\r  %s%s %d of %d%s\e[K' "$dim" "$words" "$n" "$m" "$plain"
  elif [ $((n * 10 / m)) != "$progress_tenth" ]; then
    progress_tenth=$((n * 10 / m))
    printf '  %s %d of %d\n' "$words" "$n" "$m"
  fi
}
progress_end() {
  progress_tenth=-1
  if [ -t 1 ]; then printf '\r\e[K'; fi
}

# Compilers of one Beast file take up to 1.2 GB: as many at once as cores and memory allow.
build_jobs() {
  local cores memory_gb
  cores=$(nproc)
  memory_gb=$(awk '/^MemAvailable:/{print int($2 / 1048576)}' /proc/meminfo)
  local by_memory=$((memory_gb * 10 / 13))
  [ "$by_memory" -ge 1 ] || by_memory=1
  [ "$cores" -lt "$by_memory" ] && echo "$cores" || echo "$by_memory"
}

build_output() { # PRESET LOG [TARGET…]: ninja's output into the log, how far it is onto the terminal
  local preset=$1 log=$2 line
  shift 2
  # Whom Ctrl-C is for is ninja: it ends its compilers, and whoever listens to it stays until it is done.
  NINJA_STATUS='[%f/%t] ' cmake --build "build/$preset" -j "$(build_jobs)" ${1:+--target "$@"} 2>&1 | tee -i "$log" | (
    trap '' INT
    while IFS= read -r line; do
      if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then progress "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "building"; fi
    done
  )
}

configure_output() { cmake --preset "$1" >"$2" 2>&1; }

# hold_build FILE: one at a time of what writes the same files; two would break each other. Held until release_build, and
# by what the build has started.
hold_build() {
  mkdir -p "$(dirname "$1")"
  exec 9>"$1"
  flock --nonblock 9 && return 0
  step "The same is being built for somebody else: waiting for it"
  run_job flock 9
}
release_build() { exec 9>&-; }

# build_preset PRESET [TARGET…]: configures once, then builds; the whole output is in build/PRESET.log.
build_preset() {
  local preset=$1
  shift
  local log=$ribalta_root/build/$preset.log rc=0
  hold_build "$ribalta_root/build/.lock-$preset"
  cd "$ribalta_root"
  if [ ! -f "build/$preset/build.ninja" ]; then
    run_job configure_output "$preset" "$log" || { tail -n 25 "$log" >&2; refuse "CMake could not configure; the whole output is in $log."; }
  fi
  run_job build_output "$preset" "$log" "$@" || rc=$?
  progress_end
  release_build
  if [ "$rc" != 0 ]; then
    grep -nE 'error|FAILED|undefined' "$log" | head -n 20 >&2 || true
    refuse "The build failed; the whole output is in $log."
  fi
}

web_output() { # FOLDER LOG
  { cd "$1" && npm_install && npm run build; } >"$2" 2>&1
}

# Builds the web application when its sources are newer than what is built.
build_web() {
  local web=$ribalta_root/control-plane/web
  hold_build "$ribalta_root/build/.lock-web"
  if [ -f "$web/dist/index.html" ] &&
    [ -z "$(find "$web" -path "$web/node_modules" -prune -o -path "$web/dist" -prune -o -type f -newer "$web/dist/index.html" -print -quit)" ]; then
    release_build
    return 0
  fi
  step "Building the web application"
  local log=$ribalta_root/build/web.log
  run_job web_output "$web" "$log" ||
    { tail -n 20 "$log" >&2; refuse "The web application could not be built; the whole output is in $log."; }
  release_build
}

# npm ci, when the lock file changed since the last time (in the current folder); one at a time in each.
npm_install() {
  (
    flock 8
    cmp -s package-lock.json node_modules/.ribalta-lock && exit 0
    npm ci --no-audit --no-fund --loglevel=error && cp package-lock.json node_modules/.ribalta-lock
  ) 8<package-lock.json
}

# port_taken PORT: something on this machine listens on it.
port_taken() {
  local hex
  hex=$(printf ':%04X' "$1")
  awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port {found = 1} END {exit !found}' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# need_disk FOLDER MB WHAT: what the file system that FOLDER lies on must have room for; check_disk refuses where it has not.
declare -A disk_needed=() disk_folder=() disk_what=()
need_disk() {
  local folder=$1 device
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  device=$(stat -c %d "$folder")
  disk_needed[$device]=$((${disk_needed[$device]:-0} + $2))
  disk_what[$device]=${disk_what[$device]:+${disk_what[$device]}, }"$3"
  disk_folder[$device]=${disk_folder[$device]:-$folder}
}
check_disk() {
  local device free
  for device in "${!disk_needed[@]}"; do
    free=$(df -Pm "${disk_folder[$device]}" | awk 'NR == 2 {print $4}')
    [ "$free" -ge "${disk_needed[$device]}" ] ||
      refuse "Disk is short where ${disk_folder[$device]} lies: $free MB free, ${disk_needed[$device]} MB needed (${disk_what[$device]}). Free some, or use another disk."
  done
}
