# The instance: what `up` runs once all is built, under the user that it chose (prepare.sh). Options as `up` has them.
#
# One folder holds everything: DATA/ribalta.toml (the operator's), DATA/secrets, DATA/store (objects), DATA/control
# (SQLite), DATA/ingest (uploads under way), DATA/logs, DATA/run (sockets and the supervisor's folders; made anew).
# s6 from Debian restarts what dies. Its folder for a service: run (what to start), notification-fd (readiness), log/run.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$ribalta_root/scripts/lib/prepare.sh"

services=(redis control packager ingest transcode edge)
daemons=(control packager ingest transcode) # with a section of ribalta.toml each
up_command=${up_command:-scripts/up} # as it would be typed again
supervisor=''

# A signal ends us in order, wherever we are.
listen_for_signals() {
  trap 'stop_services; exit 130' INT
  trap 'stop_services; exit 143' TERM HUP
  trap 'stop_services' EXIT
}

# wait_for COMMAND…: its exit code. Signals are heard at once, not when it has ended.
wait_for() {
  local rc=0
  start_job "$@"
  wait "$job" || rc=$?
  job=''
  return "$rc"
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
  write_signing_key
  if [ -n "$share" ]; then self_signed node_port; fi
}

hex_of() { od -An -v -tx1 | tr -d ' \n'; }

# What signs playback tokens, for the control plane alone, and its public half, which edges check with: the last 32 bytes
# of their DER forms (RFC 8410). Keys that were accepted before still are.
write_signing_key() {
  local secrets=$data/secrets seed public
  [ -s "$secrets/playback_signing" ] && [ -s "$secrets/playback_keys" ] && return 0
  (
    umask 077
    openssl genpkey -algorithm ed25519 -outform DER -out "$secrets/signing.der"
    seed=$(tail -c 32 "$secrets/signing.der" | hex_of)
    public=$(openssl pkey -inform DER -in "$secrets/signing.der" -pubout -outform DER | tail -c 32 | hex_of)
    rm -f "$secrets/signing.der"
    { printf 's1 ed25519 %s\n' "$public"; grep -v '^s1 ' "$secrets/playback_keys" 2>/dev/null || true; } >"$secrets/playback_keys.new"
    printf 's1 %s\n' "$seed" >"$secrets/playback_signing.new"
    mv "$secrets/playback_keys.new" "$secrets/playback_keys"
    mv "$secrets/playback_signing.new" "$secrets/playback_signing"
  ) || refuse "openssl could not make the key that signs playback tokens; see above."
}

# self_signed NAME: a key pair and its certificate, NAME_key.pem and NAME_cert.pem; kept when they are there. Nodes know
# each other by the certificate itself, whose name and dates say nothing.
self_signed() {
  local secrets=$data/secrets said
  [ -s "$secrets/$1_cert.pem" ] && return 0
  said=$(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=ribalta-node \
    -addext subjectAltName=DNS:ribalta-node -keyout "$secrets/$1_key.pem" -out "$secrets/$1_cert.pem.new" 2>&1) ||
    refuse "openssl could not make a certificate: $said"
  mv "$secrets/$1_cert.pem.new" "$secrets/$1_cert.pem"
}

fingerprint_of() { openssl x509 -in "$1" -outform DER | sha256sum | cut -c1-64; }

write_configuration() {
  if [ ! -e "$data/ribalta.toml" ]; then
    cat >"$data/ribalta.toml" <<TXT
# Ribalta's configuration: a section for each role; docs/running.md lists every key. What is not here has its default.
# What stands here wins over what scripts/up guesses; its options (--port, --listen, --cert, --open) win over this file,
# as does RIBALTA_SECTION_KEY in the environment.

[node]
data = "$data"

[log]
level = "info"
format = "text"
TXT
  fi
}

# What the options of `up` say, for every daemon, wins over ribalta.toml (RIBALTA_SECTION_KEY); what we guess without one
# loses against it (RIBALTA_DEFAULT_SECTION_KEY).
service_environment() {
  local registration=closed said=RIBALTA guessed=RIBALTA_DEFAULT
  if $loopback; then registration=open; fi
  printf '%s_NODE_DATA=%s\n' $said "$data"
  if $open; then printf '%s_CONTROL_REGISTRATION=open\n' $said; else printf '%s_CONTROL_REGISTRATION=%s\n' $guessed $registration; fi
  printf '%s_CONTROL_SITE_URL=%s\n' $guessed "$site"
  printf '%s_CONTROL_RTMP_URL=%s\n' $guessed "$rtmp"
  printf '%s_CONTROL_RTMPS_URL=%s\n' $guessed "$rtmps"
  printf '%s_INGEST_RTMP_ADDRESS=%s\n' "$([ -n "$listen" ] && echo $said || echo $guessed)" "$address"
  printf '%s_INGEST_RTMP_PORT=%s\n' "$([ -n "$port" ] && echo $said || echo $guessed)" "$rtmp_port"
  printf '%s_INGEST_RTMPS_PORT=%s\n' "$([ -n "$port" ] && echo $said || echo $guessed)" "$rtmps_port"
  if [ -n "$cert" ]; then printf '%s_INGEST_TLS_CERT=%s\n%s_INGEST_TLS_KEY=%s\n' $said "$cert" $said "$key"; fi
}

# An address that this machine listens on, as others type it.
reached_at() {
  local host=$1
  case $1 in 0.0.0.0 | ::) host=$(hostname -I 2>/dev/null | awk '{print $1}') ;; esac
  url_host "${host:-127.0.0.1}"
}
url_host() { case $1 in *:*) printf '[%s]' "$1" ;; *) printf '%s' "$1" ;; esac }

# A daemon's program with the environment that it will have; its exit code.
as_daemon() { # ROLE OPTION…
  local role=$1
  shift
  (
    set -a
    . "$data/run/environment"
    exec "$bin/ribalta-$role" --config "$data/ribalta.toml" "$@"
  )
}

# ribalta.toml, what the options say and what we guess, together: checked whole by all daemons before anything starts.
# What holds then is what we print and what nginx gets.
settle_configuration() {
  local host scheme=http tail=":$site_port" role said complaints='' values
  host=$(reached_at "$address")
  [ -z "$cert" ] || scheme=https
  case $scheme$tail in http:80 | https:443) tail='' ;; esac
  site=$scheme://$host$tail/
  rtmp=rtmp://$host:$rtmp_port/live rtmps=''
  [ -z "$cert" ] || rtmps=rtmps://$host:$rtmps_port/live
  rm -f "$data/run/environment"
  service_environment >"$data/run/environment"
  for role in "${daemons[@]}"; do
    said=$(as_daemon "$role" --check 2>&1) || complaints+=${said:-$role: no reason given}$'\n'
  done
  if [ -n "$complaints" ]; then
    printf '%s' "$complaints" | awk '!seen[$0]++' >&2 # what all of them read is said once
    refuse "The configuration is not accepted (above), so nothing was started. After a change: scripts/ribalta config check."
  fi
  mapfile -t values < <(as_daemon ingest --value ingest.rtmp_address --value ingest.rtmp_port --value ingest.rtmps_port --value ingest.tls_cert)
  rtmp_address=${values[0]} rtmp_port=${values[1]} rtmps_port=${values[2]} rtmps_cert=${values[3]}
  rtmp=rtmp://$host:$rtmp_port/live rtmps=''
  [ -z "$rtmps_cert" ] || rtmps=rtmps://$host:$rtmps_port/live
  service_environment >"$data/run/environment"
  mapfile -t values < <(as_daemon control --value control.site_url --value control.rtmp_url --value control.rtmps_url)
  site=${values[0]%/}/ rtmp=${values[1]} rtmps=${values[2]}
  need_no_privilege "$rtmp_port" ${rtmps_cert:+"$rtmps_port"}
  check_ports "$site_port" "$rtmp_port" ${rtmps_cert:+"$rtmps_port"} ${share:+"$node_port"}
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

# Only nginx and ingest bind ports: the others give up what root may have handed us.
unprivileged() { if can_bind; then printf 'setpriv --ambient-caps=-all --inh-caps=-all '; fi; }

clear_services() {
  rm -rf "$data/run/services" && mkdir -p "$data/run/services"
  rm -f "$data"/run/*.sock "$data"/run/{node_port,first_node}.conf
}

write_services() {
  local role
  clear_services
  write_redis no
  for role in "${daemons[@]}"; do
    write_service "$role" <<TXT
set -a
. $data/run/environment
RIBALTA_READY_FD=3
exec $([ "$role" = ingest ] || unprivileged)$bin/ribalta-$role --config $data/ribalta.toml
TXT
  done
  write_nginx
}

write_redis() { # yes or no: whether it keeps what it holds over a restart
  write_service redis <<TXT
exec $(unprivileged)s6-notifyoncheck -d -n 0 -s 20 -w 100 redis-server --port 0 --unixsocket $data/run/redis.sock --unixsocketperm 700 \\
  --dir $data/redis --save '' --appendonly $1 --daemonize no --maxmemory 256mb --maxmemory-policy allkeys-lru
TXT
  check_service redis <<TXT
exec redis-cli -s $data/run/redis.sock ping >/dev/null 2>&1
TXT
}

write_nginx() {
  local site_listen tls='' module=$ribalta_root/build/release/edge/ngx_http_ribalta_module.so user=''
  site_listen="listen $(url_host "$address"):$site_port"
  if [ "$address" = :: ]; then site_listen+=" ipv6only=off"; fi # IPv4 too, as for RTMP
  [ -r "$module" ] || refuse "The nginx module is not built; run scripts/up again, and look at build/release.log."
  if [ -n "$cert" ]; then
    site_listen="$site_listen ssl http2"
    tls="ssl_certificate $cert; ssl_certificate_key $key;"
  fi
  if [ "$(id -u)" = 0 ]; then user='user root;'; fi
  # The socket is for this machine alone: scripts/ribalta reaches the site whatever its name, certificate and port.
  site_listen+="; listen unix:$data/run/site.sock"
  mkdir -p "$data/cache/edge"
  if [ -n "$share" ]; then
    sed -e "s|@DATA@|$data|g" -e "s|@RUN@|$data/run|g" -e "s|@NODE_LISTEN@|$(url_host "$share"):$node_port|g" \
      "$ribalta_root/edge/node_port.conf.in" >"$data/run/node_port.conf"
  fi
  if [ "$role" = edge ]; then
    sed -e "s|@DATA@|$data|g" -e "s|@RUN@|$data/run|g" -e "s|@FIRST@|$first|g" "$ribalta_root/edge/first_node.conf.in" >"$data/run/first_node.conf"
  fi
  sed -e "s|@MODULE@|$module|g" -e "s|@USER@|$user|g" -e "s|@DATA@|$data|g" -e "s|@RUN@|$data/run|g" -e "s|@LOGS@|$data/logs/edge|g" \
    -e "s|@WEB@|$ribalta_root/control-plane/web/dist|g" -e "s|@LISTEN@|$site_listen;|g" -e "s|@TLS@|$tls|g" \
    -e "s|@TOKEN_KEYS@|$data/secrets/playback_keys|g" -e "s|@WORKERS@|auto|g" -e "s|@NOFILE@|$(ulimit -Hn | sed s/unlimited/65536/)|g" \
    -e "s|@CACHE_MAX@|10g|g" "$ribalta_root/edge/nginx.conf.in" >"$data/run/nginx.conf"
  write_service edge <<TXT
rm -f $data/run/edge.sock $data/run/site.sock$(if [ "$role" = edge ]; then printf ' %s' "$data"/run/{packager,control,ingest,first}.sock; fi)
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
  supervisor=starting
  step "Starting"
  mkdir -p "$data/logs/supervisor"
  # A session of its own, so that Ctrl-C reaches only `up`, which then stops the daemons in order; the death signal is for
  # the case that `up` itself is killed.
  setsid setpriv --pdeathsig TERM s6-svscan "$data/run/services" >"$data/logs/supervisor/current" 2>&1 8>&- &
  supervisor=$!
}

stop_services() {
  trap - EXIT
  trap 'say "Stopping already; daemons get 15 s to end what they do."' INT TERM HUP
  progress_end
  local began=$supervisor
  if [ "$supervisor" = starting ]; then # a signal came before it, or before its id was kept
    supervisor=''
    if jobs -pr | grep -qx "${!:-}"; then supervisor=$!; fi
  fi
  note_started_job
  if [ -n "$job" ]; then kill -INT -- "-$job" 2>/dev/null || true; fi
  if [ -n "$supervisor" ] && kill -0 "$supervisor" 2>/dev/null; then
    say ''
    step "Stopping"
    s6-svscanctl -t "$data/run/services" 2>/dev/null || kill -TERM "$supervisor" 2>/dev/null || true
    while kill -0 "$supervisor" 2>/dev/null; do wait "$supervisor" 2>/dev/null || true; done # a signal ends a wait, too
  fi
  stop_job # what has not heard the signal: it came before the job was all there
  trap - INT TERM HUP
  if [ -n "$began" ]; then say "Stopped. Everything is in $data; start again with: $up_command"; fi
}

wait_until_healthy() {
  local name folder tries count=0
  for name in "${services[@]}"; do
    folder=$data/run/services/$name
    progress "$((++count))" "${#services[@]}" "waiting for $name,"
    tries=0
    # The supervisor has just been told of it. Its status file comes last (s6-svok is true before it is there), and
    # s6-svwait needs it.
    until s6-svstat "$folder" >/dev/null 2>&1; do
      tries=$((tries + 1))
      [ "$tries" -lt 200 ] || service_failed "$name"
      sleep 0.05
    done
    wait_for s6-svwait -U -t 60000 "$folder" >"$data/run/waiting" 2>&1 || service_failed "$name"
  done
  progress_end
}

service_failed() {
  progress_end
  printf '\n' >&2
  tail -n 12 "$data/logs/$1/current" >&2 2>/dev/null || true
  cat "$data/run/waiting" >&2 2>/dev/null || true
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
  local stream_key setup='' nodes='' fingerprint=''
  if [ -n "$share" ]; then
    nodes=$(reached_at "$share"):$node_port
    fingerprint=$(fingerprint_of "$data/secrets/node_port_cert.pem")
  fi
  # The first creator exists from the first start, so that OBS can be pointed here before anyone signed up.
  stream_key=$(user_key creator) || refuse "The control plane did not hand out a stream key; see $data/logs/control/current."
  if [ -s "$data/secrets/setup_token" ]; then setup="${site}setup#$(cat "$data/secrets/setup_token")"; fi
  setup_link=$setup
  (
    umask 077
    jq -n --arg nodes "$nodes" --arg fingerprint "$fingerprint" --arg site "$site" --arg rtmp "$rtmp" --arg rtmps "$rtmps" --arg stream_key "$stream_key" --arg setup "$setup" \
      --arg admin_token "$(cat "$data/secrets/admin_token")" --arg logs "$data/logs" --arg data "$data" \
      --arg socket "$data/run/site.sock" --argjson site_port "$site_port" --argjson rtmp_port "$rtmp_port" --argjson rtmps_port "$([ -n "$rtmps_cert" ] && echo "$rtmps_port" || echo null)" \
      '{site: $site, rtmp: $rtmp, rtmps: (if $rtmps == "" then null else $rtmps end), stream_key: $stream_key,
        setup: (if $setup == "" then null else $setup end), admin_token: $admin_token, socket: $socket,
        ports: {site: $site_port, rtmp: $rtmp_port, rtmps: $rtmps_port}, logs: $logs, data: $data}
       + if $nodes == "" then {} else {nodes: {address: $nodes, fingerprint: $fingerprint}} end' >"$data/endpoints.json.new"
  )
  mv "$data/endpoints.json.new" "$data/endpoints.json"
}

named_data() { [ "$data" = "$ribalta_root/ribalta-data" ] || printf -- '--data %s ' "$data"; }

print_table() {
  say ''
  printf '  %-12s %s\n' 'Site' "$bold$site$plain"
  printf '  %-12s %s\n' 'OBS server' "$rtmp"
  if [ -n "$rtmps" ]; then printf '  %-12s %s\n' '  with TLS' "$rtmps"; fi
  printf '  %-12s %s\n' 'Stream key' "scripts/ribalta $(named_data)stream-key creator"
  if [ -n "$setup_link" ]; then
    printf '  %-12s %s\n' 'Set up' "$setup_link"
    printf '  %-12s %s\n' '' 'opens once: choose the name and password of the first administrator'
  fi
  if [ -n "$share" ]; then printf '  %-12s %s\n' 'Other nodes' "scripts/ribalta $(named_data)node add NAME"; fi
  printf '  %-12s %s\n' 'Logs' "$data/logs"
  printf '  %-12s %s\n' 'Stop' 'Ctrl-C'
  say ''
  if ! $loopback && [ -z "$cert" ]; then
    warn "the site is open on $address without TLS: passwords and stream keys cross the network in the clear. Use --cert and --key."
  fi
}

stay_until_stopped() {
  wait "$supervisor" || true
  trap - EXIT INT TERM HUP
  refuse "The supervisor ended by itself; see $data/logs/supervisor/current."
}

read_options "$@"
export -n up_command
listen_for_signals
if [ "$role" = edge ]; then
  . "$ribalta_root/scripts/lib/edge.sh"
  run_edge
fi
write_secrets
write_configuration
settle_configuration
write_services
start_services
wait_until_healthy
write_endpoints
print_table
if $demo; then
  . "$ribalta_root/scripts/lib/demo.sh"
  start_demo
fi
stay_until_stopped
