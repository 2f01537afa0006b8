# What `up --demo` adds: a demo creator, generated clips through the real upload path, a live stream with a clock.
demo_clip() { # NAME SECONDS WxH VIDEO-SOURCE AUDIO-SOURCE
  local file=$data/demo/$1.mp4
  [ -s "$file" ] && return 0
  ffmpeg -nostdin -v error -y -f lavfi -i "$4" -f lavfi -i "$5" -t "$2" -pix_fmt yuv420p -c:v libx264 -preset veryfast -crf 24 -g 60 \
    -c:a aac -b:a 96k -shortest -movflags +faststart "$file.part.mp4" </dev/null && mv "$file.part.mp4" "$file"
}

start_demo() {
  step "Demo: a live stream and clips through the real upload path"
  mkdir -p "$data/demo"
  local font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf key
  key=$(user_key demo) ||
    refuse "The demo creator has no stream key; see $data/logs/control/current."
  (umask 077 && printf 'STREAM_URL=%s/%s\n' "rtmp://$([ "$listen" = 0.0.0.0 ] && echo 127.0.0.1 || echo "$listen"):$rtmp_port/live" "$key" >"$data/run/demo_live")
  write_service demo-live <<TXT
rm -f notification-fd
. $data/run/demo_live
exec ffmpeg -nostdin -v warning -re -f lavfi -i "testsrc2=size=640x360:rate=30,drawtext=fontfile=$font:text='%{gmtime\\:%X} UTC':fontsize=44:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=12:x=(w-tw)/2:y=h-th-28" \\
  -f lavfi -i "sine=frequency=330:beep_factor=4,volume=0.15" -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 1200k -maxrate 1200k -bufsize 2400k \\
  -c:a aac -b:a 96k -ar 48000 -f flv "\$STREAM_URL"
TXT
  rm -f "$data/run/services/demo-live/notification-fd"
  if [ "$service_user" != "$(id -un)" ]; then chown -R "$service_user:" "$data/run/services/demo-live" "$data/logs/demo-live" "$data/run/demo_live" "$data/demo"; fi
  s6-svscanctl -a "$data/run/services"
  say "  live: ${site} (the stream appears within a few seconds)"

  local count=0
  if [ ! -e "$data/demo/uploaded" ]; then
    RIBALTA_TOKEN=$(control_call POST /api/v1/admin/users/demo/tokens '{"label":"demo clips","lifetime_s":3600}' | jq -er .token) ||
      refuse "The demo creator got no token; see $data/logs/control/current."
    export RIBALTA_TOKEN
    local clips=(
      'Mandelbrot, upright|12|mandelbrot=size=540x960:rate=30:start_scale=2.4:end_scale=0.05|sine=frequency=196:beep_factor=2,volume=0.2'
      'Game of life|10|life=size=270x480:rate=24:mold=20:ratio=0.12:death_color=#3a1020:life_color=#ffb347:mold_color=#7a3b1d:seed=7,scale=540:960:flags=neighbor|sine=frequency=262,tremolo=f=4,volume=0.2'
      'Gradients on a wide stage|10|gradients=size=960x540:rate=30:n=5:speed=0.02:c0=#ff9d3c:c1=#b3124f:c2=#2b1055:c3=#0b1026:c4=#ffd27d:seed=11|sine=frequency=330,tremolo=f=2,volume=0.2'
      'Cellular curtain|9|cellauto=size=540x960:rate=30:rule=30:scroll=1:seed=5|sine=frequency=147,volume=0.2'
      'Test card|8|testsrc=size=960x540:rate=30|sine=frequency=440:beep_factor=3,volume=0.15'
    )
    local clip title seconds source sound name
    for clip in "${clips[@]}"; do
      IFS='|' read -r title seconds source sound <<<"$clip"
      name=clip$((++count))
      progress "$count" "${#clips[@]}" "making and uploading clip"
      demo_clip "$name" "$seconds" '' "$source" "$sound" &&
        "$ribalta_root/scripts/ribalta" --data "$data" upload --title "$title" "$data/demo/$name.mp4" >/dev/null ||
        warn "the clip \"$title\" could not be uploaded; see $data/logs"
    done
    progress_end
    unset RIBALTA_TOKEN
    : >"$data/demo/uploaded"
    say "  clips are being processed; they appear in the feed one by one."
  fi
}
