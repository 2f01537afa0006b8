# What `up --demo` adds: a demo creator, generated clips through the real upload path, a live stream with a clock.
demo_clip() { # NAME SECONDS VIDEO-SOURCE AUDIO-SOURCE
  local file=$data/demo/$1.mp4
  [ -s "$file" ] && return 0
  wait_for ffmpeg -nostdin -v error -y -f lavfi -i "$3" -f lavfi -i "$4" -t "$2" -pix_fmt yuv420p -c:v libx264 -preset veryfast -crf 24 -g 60 \
    -c:a aac -b:a 96k -shortest -movflags +faststart "$file.part.mp4" && mv "$file.part.mp4" "$file"
}

start_demo() {
  step "Demo: a live stream and clips through the real upload path"
  mkdir -p "$data/demo"
  local font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf key
  key=$(user_key demo) ||
    refuse "The demo creator has no stream key; see $data/logs/control/current."
  local host=$rtmp_address
  case $host in 0.0.0.0) host=127.0.0.1 ;; ::) host=::1 ;; esac
  (umask 077 && printf 'STREAM_URL=%s/%s\n' "rtmp://$(url_host "$host"):$rtmp_port/live" "$key" >"$data/run/demo_live")
  write_service demo-live <<TXT
rm -f notification-fd
. $data/run/demo_live
exec ffmpeg -nostdin -v warning -re -f lavfi -i "testsrc2=size=640x360:rate=30,drawtext=fontfile=$font:text='%{gmtime\\:%X} UTC':fontsize=44:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=12:x=(w-tw)/2:y=h-th-28" \\
  -f lavfi -i "sine=frequency=330:beep_factor=4,volume=0.15" -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 1200k -maxrate 1200k -bufsize 2400k \\
  -c:a aac -b:a 96k -ar 48000 -f flv "\$STREAM_URL"
TXT
  rm -f "$data/run/services/demo-live/notification-fd"
  s6-svscanctl -a "$data/run/services"
  say "  live: ${site} (the stream appears within a few seconds)"

  local count=0
  if [ ! -e "$data/demo/uploaded" ]; then
    RIBALTA_TOKEN=$(control_call POST /api/v1/admin/users/demo/tokens '{"label":"demo clips","lifetime_s":3600}' | jq -er .token) ||
      refuse "The demo creator got no token; see $data/logs/control/current."
    export RIBALTA_TOKEN
    # A picture of few pixels, computed by formulas of place and time, then scaled up softly.
    painted() { printf "nullsrc=size=%s:rate=30,geq=r='%s':g='%s':b='%s',scale=%s:flags=bicubic" "$@"; }
    local clips=(
      "Footlights|12|$(painted 108x192 'min(255,150+80*sin(X/19+T*0.9)*sin(Y/31-T*0.7)+60*exp(-((X-54)^2+(Y-190)^2)/2400))' \
        '60+55*sin(X/23-T*0.6)*sin(Y/27+T)+70*exp(-((X-54)^2+(Y-190)^2)/1700)' '50+40*sin((X+Y)/29+T*1.3)' 540:960)|sine=frequency=196,tremolo=f=2,volume=0.2"
      "Northern lights|10|$(painted 108x192 '30+25*sin(X/21+T)' '110+100*sin(X/13+sin(Y/37+T)*2.2+T*0.8)*exp(-(Y-70)^2/2600)' \
        '120+90*sin(X/17-T*0.9+cos(Y/29)*2)*exp(-(Y-85)^2/4200)' 540:960)|sine=frequency=262,tremolo=f=3,volume=0.2"
      "Rings on a wide stage|10|$(painted 192x108 '120+110*sin(hypot(X-96\,Y-54)/9-T*2.4)' '60+60*sin(hypot(X-60\,Y-20)/11+T*1.7)' \
        '120+90*sin(hypot(X-140\,Y-90)/13-T*1.2)' 960:540)|sine=frequency=330,tremolo=f=2,volume=0.2"
      'Falling into Mandelbrot|12|mandelbrot=size=540x960:rate=30:start_scale=2.2:end_scale=0.02:inner=black,hue=h=150:s=0.9|sine=frequency=147:beep_factor=2,volume=0.2'
      'Game of life|9|life=size=135x240:rate=24:mold=12:ratio=0.3:death_color=#1a1030:life_color=#ffd27d:mold_color=#7a2b5d:seed=7,scale=540:960:flags=neighbor|sine=frequency=220,volume=0.2'
    )
    local clip title seconds source sound name
    for clip in "${clips[@]}"; do
      IFS='|' read -r title seconds source sound <<<"$clip"
      name=clip$((++count))
      progress "$count" "${#clips[@]}" "making and uploading clip"
      demo_clip "$name" "$seconds" "$source" "$sound" &&
        XDG_STATE_HOME=$data/demo wait_for "$ribalta_root/scripts/ribalta" --data "$data" upload --title "$title" "$data/demo/$name.mp4" >/dev/null ||
        warn "the clip \"$title\" could not be uploaded; see $data/logs"
    done
    progress_end
    unset RIBALTA_TOKEN
    : >"$data/demo/uploaded"
    say "  clips are being processed; they appear in the feed one by one."
  fi
}
