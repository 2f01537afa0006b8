# What the scripts share: messages, the machine, packages. Sourced, not run.
set -euo pipefail

ribalta_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'; else bold='' dim='' red='' plain=''; fi

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
}

# Packages, by what they are for. `up` installs run and build; `--demo` adds demo; `test` and `bench` add theirs.
packages_run=(ca-certificates curl jq s6 nginx redis-server libsodium23)
packages_build=(clang-19 libstdc++-12-dev cmake ninja-build pkg-config ccache mold libboost1.81-dev libboost-json1.81-dev
  libboost-url1.81-dev libsoci-dev libsqlite3-dev libpq-dev nginx-dev libhiredis-dev libavcodec-dev libavformat-dev
  libavfilter-dev libswscale-dev libswresample-dev libx264-dev libvpx-dev libsvtav1enc-dev libseccomp-dev
  libcurl4-openssl-dev libsodium-dev libssl-dev libspdlog-dev libfmt-dev libcli11-dev libtomlplusplus-dev
  prometheus-cpp-dev)
packages_demo=(ffmpeg fonts-dejavu-core)
packages_test=(doctest-dev libbenchmark-dev ffmpeg fonts-dejavu-core postgresql chromium clang-tidy-19 clang-format-19
  libclang-rt-19-dev llvm-19 git procps iproute2 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav rtmpdump obs-studio obs-plugins xvfb xauth dbus
  libgl1-mesa-dri)
packages_bench=(ffmpeg time)

# Node 18 (Debian's) or newer with npm builds the web application; what is there already is used.
packages_web=()
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then packages_web=(nodejs npm); fi

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

# Installs what is missing of the named packages. System services of nginx, Redis and PostgreSQL are neither started nor
# left enabled by it: ours run as children of `up`, on sockets in the data folder.
install_packages() {
  local missing=() fresh_services=() unit
  mapfile -t missing < <(package_missing "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    refuse "Packages are missing, and there is neither root nor sudo here. Run this once as root: apt-get install ${missing[*]}"
  fi
  step "Installing ${#missing[@]} Debian packages (and what they need)"
  for unit in nginx redis-server postgresql; do
    if printf '%s\n' "${missing[@]}" | grep -qx "$unit"; then fresh_services+=("$unit"); fi
  done
  local policy=/usr/sbin/policy-rc.d made_policy=false
  if [ ! -e "$policy" ] || grep -q 'scripts of Ribalta' "$policy"; then
    printf '#!/bin/sh\n# Written by scripts of Ribalta while they install packages: no service is started.\nexit 101\n' |
      as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    made_policy=true
  fi
  local log rc=0
  log=$(mktemp)
  {
    as_root apt-get -q update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}"
  } >"$log" 2>&1 </dev/null &
  local pid=$! total=0 done_count=0 shown=''
  trap 'progress_end; say "Stopping as soon as apt is done: packages are never left half set up."; wait "$pid"; $made_policy && as_root rm -f "$policy"; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    total=$(sed -n 's/^[0-9]* upgraded, \([0-9]*\) newly installed.*/\1/p' "$log" | tail -n 1)
    done_count=$(grep -c '^Setting up ' "$log" || true)
    if [ -n "$total" ] && [ "$shown" != "$done_count" ]; then
      progress "$done_count" "$total" "set up"
      shown=$done_count
    fi
    sleep 0.5 # apt says nothing that could be waited for
  done
  wait "$pid" || rc=$?
  progress_end
  trap - INT TERM
  if $made_policy; then as_root rm -f "$policy"; fi
  if [ "$rc" != 0 ]; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    refuse "Installing packages failed (apt-get, above). Check the network and /etc/apt, then run this again."
  fi
  rm -f "$log"
  for unit in "${fresh_services[@]}"; do
    as_root deb-systemd-helper disable "$unit.service" >/dev/null 2>&1 || true # no systemd: nothing was enabled
  done
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

# build_preset PRESET [TARGET…]: configures once, then builds; the whole output is in build/PRESET.log.
build_preset() {
  local preset=$1
  shift
  local log=$ribalta_root/build/$preset.log rc=0 line
  mkdir -p "$ribalta_root/build"
  cd "$ribalta_root"
  if [ ! -f "build/$preset/build.ninja" ]; then
    cmake --preset "$preset" >"$log" 2>&1 || { tail -n 25 "$log" >&2; refuse "CMake could not configure; the whole output is in $log."; }
  fi
  NINJA_STATUS='[%f/%t] ' cmake --build "build/$preset" -j "$(build_jobs)" ${1:+--target "$@"} 2>&1 | tee "$log" |
    while IFS= read -r line; do
      if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then progress "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "building"; fi
    done || rc=$?
  progress_end
  if [ "$rc" != 0 ]; then
    grep -nE 'error|FAILED|undefined' "$log" | head -n 20 >&2 || true
    refuse "The build failed; the whole output is in $log."
  fi
}

# Builds the web application when its sources are newer than what is built.
build_web() {
  local web=$ribalta_root/control-plane/web
  if [ -f "$web/dist/index.html" ] &&
    [ -z "$(find "$web" -path "$web/node_modules" -prune -o -path "$web/dist" -prune -o -type f -newer "$web/dist/index.html" -print -quit)" ]; then
    return 0
  fi
  step "Building the web application"
  local log=$ribalta_root/build/web.log
  mkdir -p "$ribalta_root/build"
  (cd "$web" && npm_install && npm run build) >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; refuse "The web application could not be built; the whole output is in $log."; }
}

# npm ci, when the lock file changed since the last time (in the current folder).
npm_install() {
  if [ ! -f node_modules/.ribalta-lock ] || ! cmp -s package-lock.json node_modules/.ribalta-lock; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.ribalta-lock
  fi
}

# port_taken PORT: something on this machine listens on it.
port_taken() {
  local hex
  hex=$(printf ':%04X' "$1")
  awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port {found = 1} END {exit !found}' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

free_mb() { # FOLDER (or its nearest parent that exists) → MB free there
  local folder=$1
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  df -Pm "$folder" | awk 'NR == 2 {print $4}'
}
