# What `up` is asked for, and what must hold before an instance runs. Sourced by up and by instance.sh.
#
# Started by root, `up` prepares as root and then becomes the user `ribalta` (hand_over): from there on nothing of it is
# root any more, so that whoever takes a daemon over finds no root shell that writes into folders of theirs.

bin=$ribalta_root/build/release/bin
# NAME@ADDRESS:PORT/SECRET/FINGERPRINT, with IPv6 in brackets; as client/nodes.cpp makes it.
readonly join_line='([a-z0-9][a-z0-9-]{0,31})@([0-9.]+|\[[0-9a-f:]+\]):([0-9]{1,5})/(rn_[a-z0-9]+)/([0-9a-f]{64})'
# Longest socket that is bound below the data folder; the kernel takes 107 bytes.
readonly socket_path_max=107
readonly disk_needed_mb=1024   # in the data folder: room for uploads and ladders
readonly disk_packages_mb=1700 # on /usr, of packages that are all missing
readonly disk_archives_mb=500  # in apt's cache, of the same
readonly disk_build_mb=400     # in the checkout

data=$ribalta_root/ribalta-data port='' listen='' cert='' key='' share='' role=all join='' open=false demo=false
read_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --data | --port | --listen | --cert | --key | --share | --role | --join)
        [ $# -ge 2 ] && [ -n "$2" ] || refuse "$1 needs a value; see scripts/up --help."
        declare -g "${1#--}=$2"
        shift 2
        ;;
      --data=* | --port=* | --listen=* | --cert=* | --key=* | --share=* | --role=* | --join=*)
        local value=${1#*=} name=${1%%=*}
        [ -n "$value" ] || refuse "$name needs a value; see scripts/up --help."
        declare -g "${name#--}=$value"
        shift
        ;;
      --open) open=true; shift ;;
      --demo) demo=true; shift ;;
      *) refuse "Unknown option $1; see scripts/up --help." ;;
    esac
  done
  if [ -n "$port" ]; then
    [[ $port =~ ^[0-9]{1,5}$ ]] && [ "$((10#$port))" -ge 1 ] && [ "$((10#$port))" -le 65516 ] ||
      refuse "--port takes a number from 1 to 65516 (it uses that port and the 19 after it), not $port."
    port=$((10#$port))
    site_port=$port rtmp_port=$((port + 1)) rtmps_port=$((port + 2)) node_port=$((port + 3))
  else
    site_port=8080 rtmp_port=1935 rtmps_port=1936 node_port=8083
  fi
  address=${listen:-127.0.0.1}
  program=ribalta-control
  if [ "$role" = edge ]; then program=ribalta-follower; fi
  loopback=false
  case $address in 127.* | ::1) loopback=true ;; esac
}

# One sentence about what can't work, before anything is made.
check_options() {
  local n
  [[ $data =~ ^$plain_path$ ]] ||
    refuse "The data folder's path may hold letters, digits and . _ / + @ - only, and is $data. Choose another with --data."
  local longest
  longest=$(realpath -m "$data")/run/transcode.sock
  [ ${#longest} -le $socket_path_max ] ||
    refuse "The data folder's path is too long for a socket: $longest has ${#longest} bytes and the kernel takes $socket_path_max. Choose a shorter --data."
  if [ -n "$cert$key" ]; then
    [ -n "$cert" ] && [ -n "$key" ] || refuse "--cert and --key go together."
    for n in "$cert" "$key"; do [ -f "$n" ] && [ -r "$n" ] || refuse "$n can't be read."; done
    grep -q 'BEGIN CERTIFICATE' "$cert" || refuse "--cert takes a certificate in PEM (-----BEGIN CERTIFICATE-----), and $cert holds none."
    grep -q 'BEGIN .*PRIVATE KEY' "$key" || refuse "--key takes a private key in PEM (-----BEGIN PRIVATE KEY-----), and $key holds none."
    cert=$(realpath "$cert") key=$(realpath "$key")
  fi
  check_role
  local option
  for option in listen share; do check_address "$option" "${!option}"; done
  need_no_privilege "$site_port" ${share:+"$node_port"}
}

# What goes with --role edge, and what does not.
check_role() {
  case $role in
    all)
      [ -z "$join" ] || refuse "--join goes with --role edge."
      [ ! -s "$data/secrets/first" ] || refuse "The data folder $data is an edge's: start it with --role edge."
      ;;
    edge)
      local wrong=''
      [ -z "$share" ] || wrong=--share
      if $demo; then wrong=--demo; fi
      if $open; then wrong=--open; fi
      [ -z "$wrong" ] || refuse "$wrong is for the first node; an edge has no accounts, streams or nodes of its own."
      [ ! -e "$data/control" ] || refuse "The data folder $data is a first node's, with accounts and videos. Use another --data for the edge."
      [ -n "$join" ] || [ -s "$data/secrets/first" ] ||
        refuse "An edge joins a first node: add --join LINE, which scripts/ribalta node add NAME prints there."
      [ -z "$join" ] || [[ $join =~ ^$join_line$ ]] ||
        refuse "--join takes the whole line that scripts/ribalta node add printed: NAME@ADDRESS:PORT/SECRET/FINGERPRINT."
      ;;
    *) refuse "--role takes edge (without it, everything runs here), not $role." ;;
  esac
}

check_address() { # OPTION ADDRESS
  local option=--$1 listen=$2
  if [ -n "$listen" ]; then
    [[ $listen =~ ^[0-9.]+$ || $listen =~ ^[0-9a-fA-F:]+$ ]] ||
      refuse "$option takes an address such as 192.168.1.10, 0.0.0.0 or ::, not $listen."
    case $listen in *:*) [ -e /proc/net/if_inet6 ] || refuse "$option $listen: this machine has no IPv6." ;; esac
    case $listen in
      127.* | ::1 | 0.0.0.0 | :: | [fF][eE]80:*) ;;
      *)
        if command -v hostname >/dev/null && ! hostname -I | tr ' ' '\n' | grep -qixF -- "$listen"; then
          refuse "$option $listen is no address of this machine, which has: $(hostname -I)"
        fi
        ;;
    esac
  fi
}

# need_no_privilege PORT…: those under 1024 are for root, who hands the right to bind them to nginx and ingest alone.
privileged=false
need_no_privilege() {
  local n from
  from=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)
  for n in "$@"; do
    [ "$n" -lt "$from" ] || continue
    [ "$(id -u)" = 0 ] || can_bind || refuse "Port $n is under $from and needs root: run scripts/up as root, or choose another with --port."
    privileged=true
  done
}

can_bind() { # the ambient capability CAP_NET_BIND_SERVICE, bit 10, as hand_over gives it
  local ambient
  ambient=$(sed -n 's/^CapAmb:[[:space:]]*//p' /proc/self/status)
  [ $((16#${ambient:-0} >> 10 & 1)) = 1 ]
}

# The data folder exists, is ours to use, and nobody else runs from it: the lock is on the folder itself (descriptor 8),
# so that nothing needs to be written for it.
take_data_folder() {
  mkdir -p "$data" 2>/dev/null || refuse "The data folder $data can't be made."
  data=$(cd "$data" && pwd -P)
  [[ $data =~ ^$plain_path$ ]] || refuse "The data folder leads to $data, and its path may hold letters, digits and . _ / + @ - only."
  [ -r "$data" ] && [ -w "$data" ] && [ -x "$data" ] || refuse "The data folder $data is not yours to write. Choose another with --data."
  if [ ! -f "$data/ribalta.toml" ]; then
    local own other
    own=(endpoints.json secrets store control ingest packager transcode logs run redis cache demo client lost+found)
    other=$(find "$data" -mindepth 1 -maxdepth 1 $(printf '! -name %s ' "${own[@]}") -print -quit)
    [ -z "$other" ] || refuse "The data folder $data holds other things, such as $(basename "$other"). Name one with --data that is new, empty, or Ribalta's."
  fi
  exec 8<"$data"
  flock -n 8 || refuse "Ribalta is already running from $data. Stop that one (Ctrl-C) or use another --data and --port."
}

check_ports() {
  local n
  for n in "$@"; do
    if port_taken "$n"; then refuse "Port $n is taken by another program. Stop it, or choose other ports with --port N."; fi
  done
}

check_machine() {
  local missing built=false
  [ -x "$bin/$program" ] && built=true
  check_ports "$site_port" ${share:+"$node_port"}
  # RTMP's are the file's to say, where there is one; instance.sh looks again.
  if [ "$role" = all ] && { [ -n "$port" ] || [ ! -f "$data/ribalta.toml" ]; }; then check_ports "$rtmp_port" ${cert:+"$rtmps_port"}; fi
  need_disk "$data" $disk_needed_mb "data"
  missing=$(package_missing "${packages_run[@]}" "${packages_build[@]}" "${packages_web[@]}" | wc -l)
  if [ "$missing" -gt 0 ]; then
    # A few missing ones are a few; most of the volume is in a handful (clang, Boost, FFmpeg), so that ten may be all.
    local part=$((missing < 10 ? missing : 10))
    need_disk /usr $((disk_packages_mb * part / 10)) "packages"
    need_disk /var/cache/apt/archives $((disk_archives_mb * part / 10)) "apt's cache"
  fi
  $built || need_disk "$ribalta_root" $disk_build_mb "build"
  check_disk
  if ! $built; then
    local memory
    memory=$(awk '/^MemAvailable:/{print int($2 / 1024)}' /proc/meminfo)
    [ "$memory" -ge 1800 ] || refuse "Memory is short: $memory MB available, 1800 MB needed to build."
    say "First start: installs Debian packages (about 2.2 GB on disk), builds (0.3 GB), needs up to 3 GB of memory;"
    say "5 to 10 minutes on 2 cores. Later starts take a few seconds."
  fi
}

# Started by root, the daemons run as a user of their own, if that user can reach checkout and data.
choose_user() {
  run_as=()
  [ "$(id -u)" = 0 ] || return 0
  getent passwd ribalta >/dev/null || useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ribalta
  local drop=(setpriv --reuid=ribalta --regid=ribalta --init-groups)
  if ! "${drop[@]}" test -x "$bin/$program" || ! "${drop[@]}" test -r "$ribalta_root/control-plane/web/dist/index.html" ||
    ! "${drop[@]}" test -r "$ribalta_root/scripts/lib/instance.sh" || ! "${drop[@]}" test -x "$(dirname "$data")"; then
    [ "$(stat -c %u "$data")" = 0 ] ||
      refuse "The user ribalta can't reach $ribalta_root or $data. Put both where others may enter (mode o+x)."
    warn "the user ribalta can't reach $ribalta_root or $data, so the daemons run as root. Put both where others may enter (mode o+x)."
    return 0
  fi
  run_as=("${drop[@]}")
  if $privileged; then
    run_as+=(--inh-caps=+net_bind_service --ambient-caps=+net_bind_service)
    "${run_as[@]}" true 2>/dev/null || refuse "Ports under 1024 can't be handed to the user ribalta here (CAP_NET_BIND_SERVICE is missing). Choose others with --port."
  fi
  # Links of more than one name and what links lead to stay as they are: they may be files of others.
  (cd "$data" && find . -name lost+found -prune -o ! -user ribalta \( -type d -o -links 1 \) -exec chown -h ribalta: {} +)
}

# The certificate where the daemons' user can read it, though the key may be root's alone: written by that user, of what
# we read. Anew at each start, so that a renewed one counts from then on.
copy_tls() {
  local from name
  "${run_as[@]}" mkdir -p "$data/secrets"
  for name in cert key; do
    from=${!name}
    "${run_as[@]}" sh -c 'umask 077 && cat >"$1.new" && mv -T "$1.new" "$1"' sh "$data/secrets/tls_$name.pem" <"$from" ||
      refuse "$from could not be copied into $data/secrets."
    declare -g "$name=$data/secrets/tls_$name.pem"
  done
}

# From here on we are the instance, under the user that was chosen.
hand_over() {
  [ -z "$cert" ] || copy_tls
  local words=(--data "$data" ${port:+--port "$port"} ${listen:+--listen "$listen"} ${cert:+--cert "$cert" --key "$key"}
    ${share:+--share "$share"} --role "$role" ${join:+--join "$join"})
  if $open; then words+=(--open); fi
  if $demo; then words+=(--demo); fi
  cd "$data"
  exec "${run_as[@]}" bash "$ribalta_root/scripts/lib/instance.sh" "${words[@]}"
}
