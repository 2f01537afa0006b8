#include "packager/vod/vod_manifests.h"

#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "packager/vod/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

VodTrack plain_track(std::string name, media::TrackConfig config, const std::vector<std::uint32_t>& durations,
                     std::int64_t start = 0) {
  VodTrack track;
  track.name = std::move(name);
  track.config = std::move(config);
  track.codecs = track.config.kind == media::TrackKind::video ? "avc1.64000d" : "mp4a.40.2";
  track.language = "und";
  std::int64_t time = start;
  for (const std::uint32_t duration : durations) {
    track.segments.push_back({.offset = 0, .bytes = 1000, .time = time, .duration = duration});
    time += duration;
  }
  if (track.config.kind == media::TrackKind::video) {
    track.width = 640;
    track.height = 360;
    track.fps = 30'000.0 / 1001;
  }
  return track;
}

}  // namespace

TEST_CASE("multivariant: every line of a ladder with one audio track") {
  MemoryStore store;
  PlainVideo{}.put(store);
  const auto asset = load_vod_asset(store, kVideo, kVersion).value();
  const auto sum = [&](std::string_view track, auto member) {
    return std::to_string(asset->find(track)->*member + asset->find("a128")->*member);
  };
  const std::string expected =
      "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"
      "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Audio 1 (it)\",LANGUAGE=\"it\",DEFAULT=YES,AUTOSELECT=YES,"
      "CHANNELS=\"2\",URI=\"a128.m3u8\"\n"
      "#EXT-X-STREAM-INF:BANDWIDTH=" +
      sum("v180", &VodTrack::bandwidth) + ",AVERAGE-BANDWIDTH=" + sum("v180", &VodTrack::bandwidth_average) +
      ",CODECS=\"avc1.64000d,mp4a.40.2\",RESOLUTION=322x182,FRAME-RATE=30.000,AUDIO=\"audio\"\nv180.m3u8\n"
      "#EXT-X-STREAM-INF:BANDWIDTH=" +
      sum("v90", &VodTrack::bandwidth) + ",AVERAGE-BANDWIDTH=" + sum("v90", &VodTrack::bandwidth_average) +
      ",CODECS=\"avc1.64000d,mp4a.40.2\",RESOLUTION=160x90,FRAME-RATE=30.000,AUDIO=\"audio\"\nv90.m3u8\n";
  CHECK(vod_multivariant(*asset) == expected);
}

TEST_CASE("multivariant: sound alone gives variants, pictures alone need no group") {
  VodAsset sound;
  sound.audio_tracks.push_back(plain_track("a64", audio_config(), {96'000}));
  const std::string only_sound = vod_multivariant(sound);
  CHECK(has(only_sound, "CODECS=\"mp4a.40.2\"\na64.m3u8\n"));
  CHECK_FALSE(has(only_sound, "AUDIO="));
  VodAsset pictures;
  pictures.video_tracks.push_back(plain_track("v360", video_config(), {180'000}));
  const std::string only_pictures = vod_multivariant(pictures);
  CHECK(has(only_pictures, "CODECS=\"avc1.64000d\""));
  CHECK(has(only_pictures, "FRAME-RATE=29.970"));
  CHECK_FALSE(has(only_pictures, "AUDIO="));
}

TEST_CASE("multivariant: two audio tracks have names of their own and one is the default") {
  VodAsset asset;
  asset.video_tracks.push_back(plain_track("v360", video_config(), {180'000}));
  asset.audio_tracks.push_back(plain_track("a1", audio_config(), {96'000}));
  asset.audio_tracks.push_back(plain_track("a2", audio_config(), {96'000}));
  const std::string text = vod_multivariant(asset);
  CHECK(has(text, "NAME=\"Audio 1\",DEFAULT=YES"));
  CHECK(has(text, "NAME=\"Audio 2\",DEFAULT=NO"));
  CHECK(has(text, "CODECS=\"avc1.64000d,mp4a.40.2\""));  // each codec once
}

TEST_CASE("media playlist: every line") {
  VodAsset asset;
  asset.video_tracks.push_back(plain_track("v360", video_config(), {180'000, 187'000, 60'060}));
  CHECK(
      vod_media_playlist(asset, asset.video_tracks[0]) ==
      "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
      "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"v360/init.mp4\"\n"
      "#EXTINF:2.000000,\nv360/1.m4s\n#EXTINF:2.077778,\nv360/2.m4s\n#EXTINF:0.667333,\nv360/3.m4s\n#EXT-X-ENDLIST\n");
}

TEST_CASE("media playlist: no EXTINF, rounded, is over the target, at the half second and either side") {
  for (const std::uint32_t duration : {224'999U, 225'000U, 225'001U, 180'000U, 1U}) {
    VodAsset asset;
    asset.video_tracks.push_back(plain_track("v360", video_config(), {180'000, duration}));
    asset.audio_tracks.push_back(plain_track("a1", audio_config(), {96'256, 95'232}));
    std::int64_t target_before = 0;
    for (const VodTrack* track : {&asset.video_tracks[0], &asset.audio_tracks[0]}) {
      std::int64_t target = 0;
      for (const std::string& line : lines_of(vod_media_playlist(asset, *track))) {
        if (line.starts_with("#EXT-X-TARGETDURATION:")) target = std::stoll(line.substr(22));
        if (line.starts_with("#EXTINF:")) CHECK(std::llround(std::stod(line.substr(8))) <= target);
      }
      CHECK(target == (duration >= 225'000 ? 3 : 2));
      if (target_before != 0) CHECK(target == target_before);
      target_before = target;
    }
  }
}

TEST_CASE("media playlist: durations that no decimal holds sum up to the track's length") {
  const std::vector<std::uint32_t> thirds(9000, 30'030);  // 1/3 s and a bit
  VodAsset asset;
  asset.video_tracks.push_back(plain_track("v360", video_config(), thirds, 6000));
  double sum = 0;
  for (const std::string& line : lines_of(vod_media_playlist(asset, asset.video_tracks[0]))) {
    if (line.starts_with("#EXTINF:")) sum += std::stod(line.substr(8));
  }
  CHECK(std::abs(sum - 9000 * 30'030 / 90'000.0) < 0.000'002);
}

TEST_CASE("MPD: one period from the earliest track, every segment on its timeline") {
  VodAsset asset;
  asset.video_tracks.push_back(plain_track("v360", video_config(), {180'000, 180'000, 90'000}, 6000));
  asset.video_tracks.push_back(plain_track("v180", video_config(), {180'000, 180'000, 90'000}, 6000));
  asset.audio_tracks.push_back(plain_track("a1", audio_config(), {96'256, 96'256, 47'104}, 9600));  // 133 ms later
  asset.audio_tracks[0].language = "ita";
  const std::string mpd = vod_mpd(asset);
  CHECK(has(mpd, "type=\"static\""));
  // From 66.667 ms to 200 ms + 4.992 s.
  CHECK(has(mpd, "mediaPresentationDuration=\"PT5.125333S\""));
  CHECK(has(mpd, "presentationTimeOffset=\"6000\""));
  CHECK(has(mpd, "presentationTimeOffset=\"3200\""));  // the same instant on audio's clock
  CHECK(has(mpd, "<S t=\"6000\" d=\"180000\" r=\"1\"/>"));
  CHECK(has(mpd, "<S t=\"366000\" d=\"90000\"/>"));
  CHECK(has(mpd, "startNumber=\"1\""));
  CHECK(has(mpd, "media=\"v360/$Number$.m4s\""));
  CHECK(has(mpd, "frameRate=\"30000/1001\""));
  CHECK(has(mpd, "lang=\"it\""));
  std::size_t sets = 0;
  for (std::size_t at = 0; (at = mpd.find("<AdaptationSet", at)) != std::string::npos; ++at) ++sets;
  CHECK(sets == 2);
}

TEST_CASE("MPD: another codec is an adaptation set of its own") {
  VodAsset asset;
  asset.video_tracks.push_back(plain_track("v360", video_config(), {180'000}));
  asset.video_tracks.push_back(plain_track("x360", video_config(), {180'000}));
  asset.video_tracks[1].codecs = "av01.0.04M.08";
  const std::string mpd = vod_mpd(asset);
  CHECK(has(mpd, "<AdaptationSet id=\"1\""));
}

TEST_CASE("languages: two letters where there are two, none where nobody knows") {
  CHECK(rfc5646_language("ita") == "it");
  CHECK(rfc5646_language("zho") == "zh");
  CHECK(rfc5646_language("nap") == "nap");
  CHECK(rfc5646_language("und").empty());
}
