// A real ladder, served from a disk over TCP, as players that we did not write see it: FFmpeg's HLS and DASH demuxers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/http/client.h"
#include "core/media/cmaf_reader.h"
#include "core/testing/run.h"
#include "packager/vod/testing.h"
#include "packager/vod/vod_access.h"
#include "packager/vod/vod_service.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;
using namespace std::chrono_literals;
using ribalta::testing::run_on;
using ribalta::testing::TemporaryFolder;

namespace {

struct Ran {
  int status = -1;
  std::string output;
};

Ran run(const std::string& command) {
  Ran ran;
  std::FILE* pipe = popen((command + " </dev/null").c_str(), "r");
  if (pipe == nullptr) return ran;
  char piece[4096];
  for (std::size_t n = 0; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;) ran.output.append(piece, n);
  ran.status = pclose(pipe);
  return ran;
}

/// One elementary stream as FFmpeg fragments it, with our reader's view of its samples.
struct Encoded {
  Bytes file;
  media::TrackConfig config;
  std::vector<std::shared_ptr<const Bytes>> kept;
  std::vector<media::Sample> samples;
};

std::optional<Encoded> encode(const TemporaryFolder& folder, const std::string& arguments) {
  const std::string path = folder.path() / "encoded.mp4";
  const Ran ran =
      run("ffmpeg -hide_banner -loglevel error -y " + arguments +
          " -movflags +frag_keyframe+delay_moov+default_base_moof -video_track_timescale 90000 -use_editlist 0 '" +
          path + "' 2>&1");
  if (ran.status != 0) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  Encoded encoded;
  media::CmafReader reader;
  reader.feed(as_bytes(text));
  for (;;) {
    auto item = reader.next();
    REQUIRE_MESSAGE(item, item.error().message);
    if (!*item) break;
    if (auto* init = std::get_if<media::InitItem>(&**item)) encoded.config = init->config;
    if (auto* chunk = std::get_if<media::ChunkItem>(&**item)) {
      encoded.kept.push_back(chunk->raw);
      encoded.samples.insert(encoded.samples.end(), chunk->chunk.samples.begin(), chunk->chunk.samples.end());
    }
  }
  return encoded;
}

/// Segments that begin at the first key frame at least 2 s after the segment's begin.
TrackFile cut(const Encoded& encoded) {
  std::vector<std::vector<media::Sample>> segments;
  for (const media::Sample& sample : encoded.samples) {
    const bool late = !segments.empty() &&
                      sample.dts - segments.back().front().dts >= 2 * std::int64_t{encoded.config.timescale} - 1024;
    if (segments.empty() || (sample.sync && late)) segments.emplace_back();
    segments.back().push_back(sample);
  }
  return make_track_file(encoded.config, segments);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

double number_after(const std::string& line, std::string_view name) {
  const auto at = line.find(name);
  return at == std::string::npos ? -1 : std::stod(line.substr(at + name.size()));
}

/// Presentation times of a stream's packets in microseconds from the first, in order of presentation.
std::vector<std::int64_t> times_of(const std::string& source, const std::string& stream) {
  const Ran ran = run("ffprobe -v error -select_streams " + stream + " -show_entries packet=pts_time -of csv=p=0 '" +
                      source + "' 2>&1");
  CHECK_MESSAGE(ran.status == 0, ran.output);
  std::vector<std::int64_t> times;
  for (const std::string& line : lines_of(ran.output)) {
    if (!line.empty() && line[0] != 'N') times.push_back(std::llround(std::stod(line) * 1e6));
  }
  std::ranges::sort(times);
  if (times.empty()) return times;
  const std::int64_t first = times.front();
  for (std::int64_t& time : times) time -= first;
  return times;
}

std::vector<std::int64_t> times_of(const Encoded& encoded) {
  std::vector<std::int64_t> times;
  for (const media::Sample& sample : encoded.samples) times.push_back(sample.pts());
  std::ranges::sort(times);
  const std::int64_t first = times.front();
  for (std::int64_t& time : times)
    time = std::llround(static_cast<double>(time - first) * 1e6 / encoded.config.timescale);
  return times;
}

/// Equal counts, and each within what an MPEG clock or a decimal rounds.
bool agree(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::abs(a[i] - b[i]) > 25) return false;
  }
  return true;
}

struct Player {
  TemporaryFolder disk;
  std::unique_ptr<ObjectStore> store = open_folder_store(disk.path()).value();
  Metrics metrics;
  VodService service{*store, {.node_secret = "unused"}, metrics};
  LoopPool loops{1};
  std::unique_ptr<http::Server> server;

  Player() {
    http::Router router;
    add_vod_routes(router, service);
    const http::Address address{.unix_path = {}, .host = "127.0.0.1", .port = 0};
    server = http::Server::listen(loops, address, router.handler()).value();
    loops.start();
  }
  ~Player() {
    server->drain();
    loops.stop(5s);
    server.reset();
  }
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  [[nodiscard]] std::string path(const std::string& file) const { return "/v/" + kVideo + "/" + kVersion + "/" + file; }
  [[nodiscard]] std::string url(const std::string& file) const {
    return "http://127.0.0.1:" + std::to_string(server->port()) + path(file);
  }
  std::string get(const std::string& file) {
    http::Request request{.target = path(file)};
    const http::Address address{.unix_path = {}, .host = "127.0.0.1", .port = server->port()};
    http::Response response = run_on(loops, http::call(address, std::move(request))).value();
    CHECK_MESSAGE(response.status == 200, file);
    return std::move(response.body);
  }
};

/// Every line of one media playlist holds: EXTINF against the target, and segments that go on where the last one ended.
/// @return the densest segment, bits/s.
double check_playlist(Player& player, const std::string& uri) {
  const auto lines = lines_of(player.get(uri));
  double target = 0;
  double duration = 0;
  double peak = 0;
  std::optional<media::TrackConfig> config;
  std::int64_t next = -1;
  for (const std::string& line : lines) {
    if (line.starts_with("#EXT-X-TARGETDURATION:")) target = number_after(line, ":");
    if (line.starts_with("#EXTINF:")) duration = number_after(line, ":");
    if (line.starts_with("#EXT-X-MAP:")) {
      const auto from = line.find('"') + 1;
      const std::string init = player.get(line.substr(from, line.rfind('"') - from));
      const auto parsed = media::parse_init(as_bytes(init));
      REQUIRE(parsed);
      config = *parsed;
    }
    if (line.empty() || line[0] == '#') continue;
    REQUIRE(config);
    CHECK(std::llround(duration) <= target);
    const std::string segment = player.get(line);
    peak = std::max(peak, static_cast<double>(segment.size()) * 8 / duration);
    const auto chunk = media::parse_chunk(as_bytes(segment), *config);
    REQUIRE(chunk);
    CHECK(chunk->first_is_sync);
    if (next >= 0) CHECK(chunk->decode_time == next);
    next = chunk->decode_end();
    CHECK(std::abs(static_cast<double>(chunk->duration) / config->timescale - duration) < 0.000'002);
  }
  CHECK(lines.back() == "#EXT-X-ENDLIST");
  return peak;
}

}  // namespace

TEST_CASE("FFmpeg plays the ladder in HLS and DASH: every frame, at its time, from every rung") {
  const TemporaryFolder folder;
  const std::string picture =
      "-f lavfi -i testsrc=s=320x180:r=30000/1001:d=7 -pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 2 -g 30 "
      "-force_key_frames 'expr:gte(t,n_forced*2)' ";
  const auto high = encode(folder, picture + "-crf 18");
  if (!high) {
    MESSAGE("ffmpeg with libx264 is not installed: left out");
    return;
  }
  const auto low = encode(folder, picture + "-vf scale=160:90 -crf 30");
  const auto audio = encode(folder, "-f lavfi -i sine=r=48000:d=7 -ac 2 -c:a aac -b:a 96k");
  REQUIRE(low);
  REQUIRE(audio);

  Player player;
  const PlainVideo files{.high = cut(*high), .low = cut(*low), .audio = cut(*audio)};
  files.put_all(*player.store, record_json(video_json("v180", 320, 180) + "," + video_json("v90", 160, 90),
                                           audio_json("a128", "ita")));
  REQUIRE(store_access(*player.store, kVideo, Access::open));

  const double audio_peak = check_playlist(player, "a128.m3u8");
  const double high_peak = check_playlist(player, "v180.m3u8");
  const double low_peak = check_playlist(player, "v90.m3u8");
  const auto lines = lines_of(player.get("index.m3u8"));
  std::size_t variants = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with("#EXT-X-STREAM-INF:")) continue;
    ++variants;
    const double peak = (lines[i + 1] == "v180.m3u8" ? high_peak : low_peak) + audio_peak;
    CHECK(number_after(lines[i], ":BANDWIDTH=") >= std::floor(peak));
    CHECK(number_after(lines[i], "AVERAGE-BANDWIDTH=") <= number_after(lines[i], ":BANDWIDTH="));
  }
  CHECK(variants == 2);

  CHECK(agree(times_of(player.url("index.m3u8"), "v:0"), times_of(*high)));
  CHECK(agree(times_of(player.url("index.m3u8"), "a:0"), times_of(*audio)));
  CHECK(agree(times_of(player.url("v90.m3u8"), "v:0"), times_of(*low)));
  CHECK(agree(times_of(player.url("index.mpd"), "v:0"), times_of(*high)));
  CHECK(agree(times_of(player.url("index.mpd"), "v:1"), times_of(*low)));
  CHECK(agree(times_of(player.url("index.mpd"), "a:0"), times_of(*audio)));

  for (const std::string file : {"index.m3u8", "index.mpd"}) {
    const Ran decoded =
        run("ffmpeg -nostdin -v error -i '" + player.url(file) + "' -map 0:v:0 -map 0:a:0 -f null - 2>&1");
    CHECK(decoded.status == 0);
    CHECK_MESSAGE(decoded.output.empty(), decoded.output);
  }
  // A seek into the middle. Only in DASH: after a seek FFmpeg 5.1 reads fragmented HLS wrongly, its own too.
  const Ran sought = run("ffmpeg -nostdin -v error -ss 4.1 -i '" + player.url("index.mpd") +
                         "' -map 0:v:0 -frames:v 1 -f null - 2>&1");
  CHECK(sought.status == 0);
  CHECK_MESSAGE(sought.output.empty(), sought.output);
}
