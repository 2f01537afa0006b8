# The instance: what `up` checks, writes and supervises. Sourced by up.
#
# One folder holds everything: DATA/ribalta.toml (the operator's), DATA/secrets, DATA/store (objects), DATA/control
# (SQLite), DATA/ingest (uploads under way), DATA/logs, DATA/run (sockets and the supervisor's folders; made anew).
# s6 from Debian restarts what dies. Its folder for a service: run (what to start), notification-fd (readiness), log/run.

services=(redis control packager ingest transcode edge)
# Longest socket that is bound below the data folder; the kernel takes 107 bytes.
readonly socket_path_max=107
readonly disk_needed_mb=1024 # beside packages and build: room for uploads and ladders

check_arguments() {
  local n
  if [ -n "$port" ]; then
    [[ $port =~ ^[0-9]+$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65516 ] ||
      refuse "--port takes a number from 1 to 65516 (it uses that port and the 19 after it), not $port."
    site_port=$port rtmp_port=$((port + 1)) rtmps_port=$((port + 2))
  else
    site_port=8080 rtmp_port=1935 rtmps_port=1936
  fi
  [[ $data =~ ^[A-Za-z0-9._/+@-]+$ ]] ||
    refuse "The data folder's path may hold letters, digits and . _ / + @ - only, and is $data. Choose another with --data."
  local longest=$data/run/transcode.sock
  [ ${#longest} -le $socket_path_max ] ||
    refuse "The data folder's path is too long for a socket: $longest has ${#longest} bytes and the kernel takes $socket_path_max. Choose a shorter --data."
  if [ -n "$cert$key" ]; then
    [ -n "$cert" ] && [ -n "$key" ] || refuse "--cert and --key go together."
    for n in "$cert" "$key"; do [ -r "$n" ] || refuse "$n can't be read."; done
    cert=$(realpath "$cert") key=$(realpath "$key")
  fi
  [[ $listen =~ ^[0-9.]+$ || $listen =~ ^[0-9a-fA-F:]+$ ]] ||
    refuse "--listen takes an address such as 192.168.1.10 or 0.0.0.0, not $listen."
  loopback=false
  case $listen in 127.* | ::1) loopback=true ;; esac
}

check_machine() {
  local n free needed=$disk_needed_mb
  for n in "$site_port" "$rtmp_port" ${cert:+"$rtmps_port"}; do
    if port_taken "$n"; then
      refuse "Port $n is taken by another program. Stop it, or choose other ports with --port N."
    fi
  done
  [ -x "$ribalta_root/build/release/bin/ribalta-control" ] || needed=$((needed + 2600))
  free=$(free_mb "$data")
  [ "$free" -ge "$needed" ] ||
    refuse "Disk is short: $free MB free where $data lies, $needed MB needed. Free some, or choose another --data."
  if [ ! -x "$ribalta_root/build/release/bin/ribalta-control" ]; then
    local memory
    memory=$(awk '/^MemAvailable:/{print int($2 / 1024)}' /proc/meminfo)
    [ "$memory" -ge 1800 ] || refuse "Memory is short: $memory MB available, 1800 MB needed to build."
    say "First start: installs Debian packages (about 2.2 GB on disk), builds (0.3 GB), needs up to 3 GB of memory;"
    say "5 to 10 minutes on 2 cores. Later starts take a few seconds."
  fi
}

take_lock() {
  mkdir -p "$data/run"
  exec 8>"$data/run/up.lock"
  flock -n 8 || refuse "Ribalta is already running from $data. Stop that one (Ctrl-C) or use another --data and --port."
}

# Started by root, the daemons run as a user of their own, if that user can reach checkout and data.
choose_user() {
  run_as=()
  service_user=$(id -un)
  [ "$(id -u)" = 0 ] || return 0
  getent passwd ribalta >/dev/null || useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ribalta
  local drop=(setpriv --reuid=ribalta --regid=ribalta --init-groups)
  if "${drop[@]}" test -x "$ribalta_root/build/release/bin/ribalta-control" 2>/dev/null && "${drop[@]}" test -x "$(dirname "$data")" 2>/dev/null; then
    run_as=("${drop[@]}")
    service_user=ribalta
  else
    warn "the user ribalta can't reach $ribalta_root or $data, so the daemons run as root. Put both where others may enter (mode o+x)."
  fi
}

# 32 random bytes as hex in a file that only its owner reads; kept when it is there.
secret_file() {
  [ -s "$1" ] && return 0
  (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$1.new" && mv "$1.new" "$1")
}

write_secrets() {
  mkdir -p "$data"/{secrets,store,control,ingest,packager,transcode,logs,run,redis}
  chmod 700 "$data/secrets"
  secret_file "$data/secrets/node"
  secret_file "$data/secrets/control"
  if [ ! -s "$data/secrets/playback_keys" ]; then
    secret_file "$data/secrets/playback_key"
    (umask 077 && printf 'k1 %s\n' "$(cat "$data/secrets/playback_key")" >"$data/secrets/playback_keys")
    rm -f "$data/secrets/playback_key"
  fi
}

write_configuration() {
  if [ ! -e "$data/ribalta.toml" ]; then
    cat >"$data/ribalta.toml" <<TXT
# Ribalta's configuration: a section for each role; docs/running.md lists every key. What is not here has its default.
# RIBALTA_SECTION_KEY in the environment wins over this file; so do the options of scripts/up (ports, addresses, --open).

[node]
data = "$data"

[log]
level = "info"
format = "text"
TXT
  fi
}

# What the options of `up` say, for every daemon; wins over ribalta.toml.
service_environment() {
  local registration=closed
  if $open || $loopback; then registration=open; fi
  cat <<TXT
RIBALTA_NODE_DATA=$data
RIBALTA_CONTROL_REGISTRATION=$registration
RIBALTA_CONTROL_SITE_URL=$site
RIBALTA_CONTROL_RTMP_URL=$rtmp
RIBALTA_CONTROL_RTMPS_URL=$rtmps
RIBALTA_INGEST_RTMP_ADDRESS=$listen
RIBALTA_INGEST_RTMP_PORT=$rtmp_port
TXT
  if [ -n "$cert" ]; then
    printf 'RIBALTA_INGEST_RTMPS_PORT=%s\nRIBALTA_INGEST_TLS_CERT=%s\nRIBALTA_INGEST_TLS_KEY=%s\n' "$rtmps_port" "$cert" "$key"
  fi
}

# write_service NAME: the lines of its run script on standard input.
write_service() {
  local folder=$data/run/services/$1
  mkdir -p "$folder/log" "$data/logs/$1"
  { printf '#!/bin/sh\nexec 2>&1 8>&-\n'; cat; } >"$folder/run"
  printf '#!/bin/sh\nexec s6-log -b n9 s4000000 %s\n' "$data/logs/$1" >"$folder/log/run"
  printf '3\n' >"$folder/notification-fd"
  printf '15000\n' >"$folder/timeout-kill"
  chmod +x "$folder/run" "$folder/log/run"
}

# check_service NAME: a readiness check on standard input, for programs that don't tell by themselves.
check_service() {
  mkdir -p "$data/run/services/$1/data"
  { printf '#!/bin/sh\n'; cat; } >"$data/run/services/$1/data/check"
  chmod +x "$data/run/services/$1/data/check"
}

write_services() {
  local host=$listen scheme=http role
  case $listen in 0.0.0.0 | ::) host=$(hostname -I 2>/dev/null | awk '{print $1}') ;; esac
  [ -n "$host" ] || host=127.0.0.1
  case $host in *:*) host="[$host]" ;; esac
  [ -n "$cert" ] && scheme=https
  site=$scheme://$host:$site_port/
  rtmp=rtmp://$host:$rtmp_port/live
  rtmps=''
  if [ -n "$cert" ]; then rtmps=rtmps://$host:$rtmps_port/live; fi

  rm -rf "$data/run/services" && mkdir -p "$data/run/services"
  rm -f "$data"/run/*.sock
  service_environment >"$data/run/environment"
  local bin=$ribalta_root/build/release/bin
  write_service redis <<TXT
exec s6-notifyoncheck -d -n 0 -s 20 -w 100 redis-server --port 0 --unixsocket $data/run/redis.sock --unixsocketperm 700 \\
  --dir $data/redis --save '' --appendonly no --daemonize no --maxmemory 256mb --maxmemory-policy allkeys-lru
TXT
  check_service redis <<TXT
exec redis-cli -s $data/run/redis.sock ping >/dev/null 2>&1
TXT
  for role in control packager ingest transcode; do
    write_service "$role" <<TXT
set -a
. $data/run/environment
RIBALTA_READY_FD=3
exec $bin/ribalta-$role --config $data/ribalta.toml
TXT
  done
  write_nginx
  if [ "$service_user" != "$(id -un)" ]; then
    chown -R "$service_user:" "$data"
  fi
}

write_nginx() {
  local site_listen="listen $listen:$site_port" tls='' module=$ribalta_root/build/release/edge/ngx_http_ribalta_module.so user=''
  case $listen in *:*) site_listen="listen [$listen]:$site_port" ;; esac
  [ -r "$module" ] || refuse "The nginx module is not built; run scripts/up again, and look at build/release.log."
  if [ -n "$cert" ]; then
    site_listen="$site_listen ssl http2"
    tls="ssl_certificate $cert; ssl_certificate_key $key;"
  fi
  if [ "$service_user" = root ]; then user='user root;'; fi
  mkdir -p "$data/cache/edge"
  sed -e "s|@MODULE@|$module|g" -e "s|@USER@|$user|g" -e "s|@DATA@|$data|g" -e "s|@RUN@|$data/run|g" -e "s|@LOGS@|$data/logs/edge|g" \
    -e "s|@WEB@|$ribalta_root/control-plane/web/dist|g" -e "s|@LISTEN@|$site_listen;|g" -e "s|@TLS@|$tls|g" \
    -e "s|@TOKEN_KEYS@|$data/secrets/playback_keys|g" -e "s|@WORKERS@|auto|g" -e "s|@NOFILE@|$(ulimit -Hn | sed s/unlimited/65536/)|g" \
    -e "s|@CACHE_MAX@|10g|g" "$ribalta_root/edge/nginx.conf.in" >"$data/run/nginx.conf"
  write_service edge <<TXT
rm -f $data/run/edge.sock
exec s6-notifyoncheck -d -n 0 -s 20 -w 100 /usr/sbin/nginx -e $data/logs/edge/edge-error.log -p $data -c $data/run/nginx.conf
TXT
  # nginx writes its own files (a blocked pipe would stall the site); they are renamed once they are large.
  write_service edge-logs <<TXT
trap 'kill \$pause; exit 0' TERM
while :; do
  sleep 60 & pause=\$!
  wait \$pause
  for name in access error; do
    file=$data/logs/edge/edge-\$name.log
    [ "\$(stat -c %s "\$file" 2>/dev/null || echo 0)" -gt 4000000 ] || continue
    mv "\$file" "\$file.1" && s6-svc -1 $data/run/services/edge
  done
done
TXT
  rm -f "$data/run/services/edge-logs/notification-fd"
  check_service edge <<TXT
exec curl -fs --max-time 2 --unix-socket $data/run/edge.sock http://edge/healthz >/dev/null
TXT
}

start_services() {
  step "Starting"
  mkdir -p "$data/logs/supervisor"
  # A session of its own, so that Ctrl-C reaches only `up`, which then stops the daemons in order; the death signal is for
  # the case that `up` itself is killed.
  setsid "${run_as[@]}" setpriv --pdeathsig TERM s6-svscan "$data/run/services" >"$data/logs/supervisor/current" 2>&1 8>&- &
  supervisor=$!
  trap 'stop_services; exit 130' INT
  trap 'stop_services; exit 143' TERM HUP
  trap 'stop_services' EXIT
}

stop_services() {
  trap - EXIT INT TERM HUP
  if kill -0 "$supervisor" 2>/dev/null; then
    say ''
    step "Stopping"
    s6-svscanctl -t "$data/run/services" 2>/dev/null || kill -TERM "$supervisor" 2>/dev/null || true
    wait "$supervisor" 2>/dev/null || true
  fi
  say "Stopped. Everything is in $data; start again with scripts/up."
}

wait_until_healthy() {
  local name folder tries count=0
  for name in "${services[@]}"; do
    folder=$data/run/services/$name
    progress "$((++count))" "${#services[@]}" "waiting for $name,"
    tries=0
    until "${run_as[@]}" s6-svok "$folder" 2>/dev/null; do # the supervisor has just been told of it
      tries=$((tries + 1))
      [ "$tries" -lt 200 ] || service_failed "$name"
      sleep 0.05
    done
    # As the services' own user: what waits is told through a FIFO that the supervisor must be able to write.
    "${run_as[@]}" s6-svwait -U -t 60000 "$folder" >/dev/null 2>&1 || service_failed "$name"
  done
  progress_end
}

service_failed() {
  progress_end
  printf '\n' >&2
  tail -n 12 "$data/logs/$1/current" >&2 2>/dev/null || true
  trap - EXIT
  stop_services >&2
  refuse "$1 did not become healthy; the end of its log is above, the whole is in $data/logs/$1/current."
}

control_call() { # METHOD PATH [JSON] → the answer's body
  curl -fsS --max-time 15 --unix-socket "$data/run/control.sock" -X "$1" -H "Authorization: Bearer $(cat "$data/secrets/admin_token")" \
    -H 'Content-Type: application/json' ${3:+--data "$3"} "http://control$2"
}

# user_key NAME: the stream key of an account, which is made when there is none of that name.
user_key() {
  { control_call GET "/api/v1/admin/users/$1" 2>/dev/null || control_call POST /api/v1/admin/users "{\"name\":\"$1\"}"; } | jq -er .stream_key
}

write_endpoints() {
  local stream_key setup=''
  # The first creator exists from the first start, so that OBS can be pointed here before anyone signed up.
  stream_key=$(user_key creator) || refuse "The control plane did not hand out a stream key; see $data/logs/control/current."
  if [ -s "$data/secrets/setup_token" ]; then setup="${site}setup#$(cat "$data/secrets/setup_token")"; fi
  setup_link=$setup
  (
    umask 077
    jq -n --arg site "$site" --arg rtmp "$rtmp" --arg rtmps "$rtmps" --arg stream_key "$stream_key" --arg setup "$setup" \
      --arg admin_token "$(cat "$data/secrets/admin_token")" --arg logs "$data/logs" --arg data "$data" \
      --argjson site_port "$site_port" --argjson rtmp_port "$rtmp_port" --argjson rtmps_port "$([ -n "$cert" ] && echo "$rtmps_port" || echo null)" \
      '{site: $site, rtmp: $rtmp, rtmps: (if $rtmps == "" then null else $rtmps end), stream_key: $stream_key,
        setup: (if $setup == "" then null else $setup end), admin_token: $admin_token,
        ports: {site: $site_port, rtmp: $rtmp_port, rtmps: $rtmps_port}, logs: $logs, data: $data}' >"$data/endpoints.json.new"
  )
  mv "$data/endpoints.json.new" "$data/endpoints.json"
}

print_table() {
  say ''
  printf '  %-12s %s\n' 'Site' "$bold$site$plain"
  printf '  %-12s %s\n' 'OBS server' "$rtmp"
  [ -n "$rtmps" ] && printf '  %-12s %s\n' '  with TLS' "$rtmps"
  printf '  %-12s %s\n' 'Stream key' 'scripts/ribalta stream-key creator'
  if [ -n "$setup_link" ]; then
    printf '  %-12s %s\n' 'Set up' "$setup_link"
    printf '  %-12s %s\n' '' 'opens once: choose the name and password of the first administrator'
  fi
  printf '  %-12s %s\n' 'Logs' "$data/logs"
  printf '  %-12s %s\n' 'Stop' 'Ctrl-C'
  say ''
  if ! $loopback && [ -z "$cert" ]; then
    warn "the site is open on $listen without TLS: passwords and stream keys cross the network in the clear. Use --cert and --key."
  fi
}

stay_until_stopped() {
  wait "$supervisor" || true
  trap - EXIT
  refuse "The supervisor ended by itself; see $data/logs/supervisor/current."
}
