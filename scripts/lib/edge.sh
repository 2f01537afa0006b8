# An edge on a machine of its own: it joins a first node once, and then serves what that one has. Sourced by instance.sh.
#
# What it keeps of the first node is in DATA/secrets: `first` (the join line that it came with), first_cert.pem (the one
# certificate that it speaks to), node_key.pem and node_cert.pem (who it is there), playback_keys (public halves: they
# check links and can make none).

# The way to the first node, its certificate and our name, from the line that we joined with.
read_first() {
  [[ $(cat "$data/secrets/first") =~ ^$join_line$ ]] || refuse "$data/secrets/first is not what it should be. Join again with --join."
  name=${BASH_REMATCH[1]} first=${BASH_REMATCH[2]}:${BASH_REMATCH[3]}
}

# fetch_certificate ADDRESS:PORT FINGERPRINT: what answers there shows its certificate; it must be the one that was named.
fetch_certificate() {
  local file=$data/secrets/first_cert.pem.new said
  said=$(timeout 15 openssl s_client -connect "$1" -servername ribalta-node </dev/null 2>&1) || true
  printf '%s\n' "$said" | openssl x509 -out "$file" 2>/dev/null ||
    refuse "Nothing that speaks TLS answers at $1. Does the first node run with --share, and do firewalls let this machine through?"
  [ "$(fingerprint_of "$file")" = "$2" ] ||
    refuse "What answers at $1 is not the node that the join line names: its certificate is another. Nothing was sent to it."
}

# ask_in ADDRESS:PORT SECRET CERTIFICATE KEY FIRST_CERTIFICATE: its answer is in run/joined, its status (000: none) in
# `status`. Who has joined is welcome without a secret, and hears again what checks links.
ask_in() {
  # The secret goes in on standard input: nobody reads it off the list of processes.
  status=$(printf '{"name":"%s","secret":"%s"}' "$name" "$2" |
    curl -sS --max-time 20 --noproxy '*' --connect-to "ribalta-node:443:$1" --cacert "$data/secrets/$5" \
      --cert "$data/secrets/$3" --key "$data/secrets/$4" -H 'Content-Type: application/json' --data-binary @- \
      -o "$data/run/joined" -w '%{http_code}' https://ribalta-node/node/v1/join 2>"$data/run/joined.error") || true
}

keep_playback_keys() {
  (umask 077 && jq -er '.playback_keys' "$data/run/joined" >"$data/secrets/playback_keys.new") ||
    refuse "The first node's answer makes no sense; see $data/run/joined."
  mv "$data/secrets/playback_keys.new" "$data/secrets/playback_keys"
}

# Shows the first node the join line's secret; from then on our certificate is who we are.
join_first() {
  local where secret
  [[ $join =~ ^$join_line$ ]]
  name=${BASH_REMATCH[1]} where=${BASH_REMATCH[2]}:${BASH_REMATCH[3]} secret=${BASH_REMATCH[4]}
  step "Joining $where as $name"
  fetch_certificate "$where" "${BASH_REMATCH[5]}"
  self_signed new_node # a node has a key for each time that it is let in; tried again after a failure, the same
  ask_in "$where" "$secret" new_node_cert.pem new_node_key.pem first_cert.pem.new
  case $status in
    200) ;;
    000) refuse "The first node at $where did not answer: $(cat "$data/run/joined.error")" ;;
    *) refuse "The first node at $where did not let us in: $(jq -er '.error.message' "$data/run/joined" 2>/dev/null || echo "it answered $status.")" ;;
  esac
  keep_playback_keys
  mv "$data/secrets/first_cert.pem.new" "$data/secrets/first_cert.pem"
  mv "$data/secrets/new_node_key.pem" "$data/secrets/node_key.pem"
  mv "$data/secrets/new_node_cert.pem" "$data/secrets/node_cert.pem"
  (umask 077 && printf '%s\n' "$join" >"$data/secrets/first.new")
  mv "$data/secrets/first.new" "$data/secrets/first" # last: with it we have joined
}

# At later starts: what checks links may have been renewed. Without an answer what we know counts.
greet_first() {
  ask_in "$first" '' node_cert.pem node_key.pem first_cert.pem
  if [ "$status" = 200 ]; then
    keep_playback_keys
  else
    warn "the first node at $first $([ "$status" = 000 ] && echo 'does not answer' || echo 'does not know this node'): what is in the cache plays. scripts/ribalta $(named_data)status says when it is followed again."
  fi
}

edge_services() {
  # Who may play what outlasts a restart while the first node is away: a video that was deleted stays so.
  write_redis yes
  write_nginx
  write_service follower <<TXT
set -a
. $data/run/environment
RIBALTA_READY_FD=3
exec $(unprivileged)$bin/ribalta-follower --config $data/ribalta.toml
TXT
}

write_edge_endpoints() {
  (
    umask 077
    jq -n --arg site "$site" --arg name "$name" --arg first "$first" --arg socket "$data/run/site.sock" --arg logs "$data/logs" --arg data "$data" \
      --argjson site_port "$site_port" '{role: "edge", site: $site, name: $name, first: $first, socket: $socket, ports: {site: $site_port}, logs: $logs, data: $data}' \
      >"$data/endpoints.json.new"
  )
  mv "$data/endpoints.json.new" "$data/endpoints.json"
}

print_edge_table() {
  say ''
  printf '  %-12s %s\n' 'Site' "$bold$site$plain"
  printf '  %-12s %s\n' 'Edge' "$name, of the node at $first"
  printf '  %-12s %s\n' 'Status' "scripts/ribalta $(named_data)status"
  printf '  %-12s %s\n' 'Logs' "$data/logs"
  printf '  %-12s %s\n' 'Stop' 'Ctrl-C'
  say ''
  if ! $loopback && [ -z "$cert" ]; then
    warn "the site is open on $address without TLS: passwords cross the network in the clear. Use --cert and --key."
  fi
}

run_edge() {
  local scheme=http tail=":$site_port"
  services=(redis edge follower)
  mkdir -p "$data"/{secrets,logs,run,redis,store}
  chmod 700 "$data/secrets"
  secret_file "$data/secrets/node"
  if [ -n "$join" ] && [ "$(cat "$data/secrets/first" 2>/dev/null)" != "$join" ]; then
    join_first
    read_first
  else
    read_first
    greet_first
  fi
  write_configuration
  [ -z "$cert" ] || scheme=https
  case $scheme$tail in http:80 | https:443) tail='' ;; esac
  site=$scheme://$(reached_at "$address")$tail/
  printf 'RIBALTA_NODE_DATA=%s\n' "$data" >"$data/run/environment"
  check_ports "$site_port"
  clear_services
  edge_services
  start_services
  wait_until_healthy
  write_edge_endpoints
  print_edge_table
  stay_until_stopped
}
