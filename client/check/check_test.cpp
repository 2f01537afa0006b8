// The checker on a presentation that is right, and on the same one with one thing broken: the rule that must say so,
// does.
#include <doctest/doctest.h>

#include <functional>
#include <stop_token>
#include <thread>

#include "client/check/hls_check.h"
#include "client/check/live_check.h"
#include "client/check/media_check.h"
#include "client/check/mpd.h"
#include "client/check/stage.h"

using namespace ribalta;
using namespace ribalta::check;
using ribalta::check::testing::Stage;

namespace {

using Rules = std::set<std::string>;

/// What else breaks with it is no harm; what must be told is.
void breaks(const std::string& rule, const std::function<void(Stage&)>& harm) {
  Stage stage;
  harm(stage);
  const Rules rules = stage.rules();
  std::string told;
  for (const std::string& one : rules) told += one + " ";
  CHECK_MESSAGE(rules.contains(rule), "wanted " << rule << ", told: " << told);
}

void replace_byte(std::string& bytes, std::string_view behind, std::size_t offset, char value) {
  const std::size_t at = bytes.find(behind);
  REQUIRE(at != std::string::npos);
  bytes[at + offset] = value;
}

std::string second_sound(const std::string& name, const std::string& is_default) {
  return "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"" + name + "\",DEFAULT=" + is_default +
         ",AUTOSELECT=YES,CHANNELS=\"2\",URI=\"snd.m3u8\"\n#EXT-X-MEDIA:";
}

/// The manifest's only Period once more behind it.
void second_period(Stage& stage, const std::string& id, const std::string& start) {
  const std::string& manifest = stage.files.at("index.mpd");
  const std::string head = "<Period id=\"0\" start=\"PT0S\">";
  const std::size_t body = manifest.find(head) + head.size();
  const std::string again = manifest.substr(body, manifest.find("</MPD>") - body);
  stage.change("index.mpd", "</MPD>", "<Period id=\"" + id + "\" start=\"" + start + "\">" + again + "</MPD>");
}

HlsMedia live(std::int64_t sequence, std::size_t count, std::int64_t discontinuities = 0) {
  HlsMedia out;
  out.target_duration_s = 2;
  out.media_sequence = sequence;
  out.discontinuity_sequence = discontinuities;
  for (std::size_t i = 0; i < count; ++i) {
    out.segments.push_back(
        {.uri = std::to_string(sequence + static_cast<std::int64_t>(i)) + ".m4s", .duration_us = 2'000'000});
  }
  return out;
}

}  // namespace

TEST_CASE("check: a presentation that is right has no findings, named by its playlist or its manifest") {
  CHECK(Stage{}.rules() == Rules{});
  CHECK(Stage{}.rules("index.mpd") == Rules{});
  CHECK(Stage{}.rules("hi.m3u8") == Rules{});
}

TEST_CASE("check: what is no presentation is refused in words") {
  Stage stage;
  stage.files["notes.txt"] = "hello";
  CHECK(stage.rules("notes.txt").begin()->starts_with("error: neither"));
  CHECK_FALSE(check_location("/nowhere/at/all", std::chrono::seconds{0}).has_value());
}

TEST_CASE("check: each rule on playlists finds the playlist that breaks it") {
  breaks("playlist-syntax", [](Stage& s) { s.change("hi.m3u8", "#EXTM3U\n", ""); });
  breaks("playlist-syntax", [](Stage& s) { s.change("index.m3u8", "BANDWIDTH=", "BANDWIDHT="); });
  breaks("playlist-syntax", [](Stage& s) { s.change("lo.m3u8", "#EXT-X-TARGETDURATION:2\n", ""); });
  breaks("playlist-syntax", [](Stage& s) { s.change("lo.m3u8", "#EXTINF:2.000000,\n", ""); });
  breaks("playlist-missing", [](Stage& s) { s.files.erase("lo.m3u8"); });
  breaks("version", [](Stage& s) { s.change("hi.m3u8", "VERSION:7", "VERSION:5"); });
  breaks("extinf-over-target", [](Stage& s) { s.change("hi.m3u8", "TARGETDURATION:2", "TARGETDURATION:1"); });
  breaks("target-duration", [](Stage& s) { s.change("lo.m3u8", "TARGETDURATION:2", "TARGETDURATION:3"); });
  breaks("extinf", [](Stage& s) { s.change("hi.m3u8", "#EXTINF:2.000000", "#EXTINF:1.900000"); });
  breaks("endlist", [](Stage& s) { s.change("hi.m3u8", "#EXT-X-ENDLIST\n", ""); });
  breaks("map", [](Stage& s) { s.change("hi.m3u8", "#EXT-X-MAP:URI=\"hi/init.mp4\"\n", ""); });
  breaks("discontinuity", [](Stage& s) {
    s.change("lo.m3u8", "#EXTINF:2.000000,\nlo/3", "#EXT-X-DISCONTINUITY\n#EXTINF:2.000000,\nlo/3");
  });
  breaks("program-date-time", [](Stage& s) {
    s.change("hi.m3u8", "#EXTINF:2.000000,\nhi/1",
             "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:2.000000,\nhi/1");
    s.change("hi.m3u8", "#EXTINF:2.000000,\nhi/2",
             "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T01:00:03.000+01:00\n#EXTINF:2.000000,\nhi/2");
  });
  breaks("playlist-empty", [](Stage& s) {
    std::string& playlist = s.files.at("hi.m3u8");
    const std::size_t first = playlist.find("#EXTINF");
    playlist.erase(first, playlist.find("#EXT-X-ENDLIST") - first);
  });
  breaks("rendition-name", [](Stage& s) { s.change("index.m3u8", "#EXT-X-MEDIA:", second_sound("Sound", "NO")); });
  breaks("rendition-default", [](Stage& s) { s.change("index.m3u8", "#EXT-X-MEDIA:", second_sound("Other", "YES")); });
  breaks("audio-group", [](Stage& s) { s.change("index.m3u8", "AUDIO=\"a\"", "AUDIO=\"b\""); });
  breaks("uri", [](Stage& s) { s.change("hi.m3u8", "hi/2.m4s", "../../etc/passwd"); });
}

TEST_CASE("check: each rule on variants finds what its media do not keep") {
  breaks("bandwidth", [](Stage& s) { s.change("index.m3u8", "INF:BANDWIDTH=", "INF:BANDWIDTH=1,X-WAS="); });
  breaks("bandwidth-overstated", [](Stage& s) { s.change("index.m3u8", "INF:BANDWIDTH=", "INF:BANDWIDTH=9"); });
  breaks("average-bandwidth",
         [](Stage& s) { s.change("index.m3u8", "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=100,X-WAS="); });
  breaks("variant-codecs", [](Stage& s) { s.change("index.m3u8", "CODECS=", "X-WAS="); });
  breaks("codecs", [](Stage& s) { s.change("index.m3u8", "avc1.64000d", "avc1.42c01e"); });
  breaks("codecs", [](Stage& s) { s.change("index.m3u8", ",mp4a.40.2", ""); });
  breaks("codecs", [](Stage& s) { s.change("index.m3u8", ",mp4a.40.2", ",mp4a.40.2,ac-3"); });
  breaks("resolution", [](Stage& s) { s.change("index.m3u8", "322x182", "640x360"); });
  breaks("frame-rate", [](Stage& s) { s.change("index.m3u8", "FRAME-RATE=30.000", "FRAME-RATE=25.000"); });
}

TEST_CASE("check: each rule on media finds the segment that breaks it") {
  breaks("segment-missing", [](Stage& s) { s.files.erase("hi/2.m4s"); });
  breaks("init-missing", [](Stage& s) { s.files.erase("hi/init.mp4"); });
  breaks("init-segment",
         [](Stage& s) { replace_byte(s.files["hi/init.mp4"], "avc1", 29, 1); });  // the sample entry's width
  breaks("box-structure", [](Stage& s) { s.files["hi/2.m4s"] += "\x01"; });
  breaks("box-structure", [](Stage& s) { s.files["hi/2.m4s"] += s.files["hi/init.mp4"]; });
  breaks("box-structure", [](Stage& s) { s.files["hi/2.m4s"].resize(s.files["hi/2.m4s"].size() - 10); });
  breaks("default-base-is-moof", [](Stage& s) { replace_byte(s.files["hi/2.m4s"], "tfhd", 5, 0); });
  breaks("tfdt-continuity", [](Stage& s) { s.files["hi/2.m4s"] = Stage::video_segment(1, 200, true, 1); });
  breaks("rung-alignment", [](Stage& s) { s.files["lo/2.m4s"] = Stage::video_segment(1, 200, true, 1); });
  breaks("segment-starts-with-key", [](Stage& s) { s.files["hi/2.m4s"] = Stage::video_segment(1, 200, false); });
  breaks("sync-sample", [](Stage& s) { replace_byte(s.files["hi/2.m4s"], "mdat", 8, 0x41); });  // the IDR frame is none
  breaks("avc1-parameter-sets", [](Stage& s) { replace_byte(s.files["hi/2.m4s"], "mdat", 8, 0x67); });
  breaks("chunk", [](Stage& s) { replace_byte(s.files["hi/2.m4s"], "tfhd", 11, 9); });  // another track's ID
  breaks("sample-duration", [](Stage& s) {
    std::string& segment = s.files["hi/2.m4s"] = Stage::video_segment(1, 200, true, 0, 0x7778);
    replace_byte(segment, "\x77\x78", 0, 0);  // its duration in trun: 0
    replace_byte(segment, std::string_view{"\0\0\0\x78", 4}, 3, 0);
  });
  breaks("audio-alignment", [](Stage& s) {
    for (std::int64_t i = 0; i < 4; ++i) {
      s.files["snd/" + std::to_string(i + 1) + ".m4s"] = Stage::audio_segment(i, 9'600);  // 200 ms
    }
  });
  breaks("nal-units", [](Stage& s) { replace_byte(s.files["hi/2.m4s"], "mdat", 4, 0x7F); });
}

TEST_CASE("check: each rule on manifests finds the manifest that breaks it, and HLS beside it") {
  breaks("playlist-syntax", [](Stage& s) { s.change("index.mpd", "</MPD>", ""); });
  breaks("playlist-syntax", [](Stage& s) { s.change("index.mpd", "schema:mpd:2011", "schema:mpd:2099"); });
  breaks("mpd-attribute", [](Stage& s) { s.change("index.mpd", "minBufferTime=\"PT2S\" ", ""); });
  breaks("presentation-duration", [](Stage& s) { s.change("index.mpd", "PT8S", "PT9S"); });
  breaks("segment-duration-max", [](Stage& s) { s.change("index.mpd", "PT2.1S", "PT1S"); });
  breaks("representation-id", [](Stage& s) { s.change("index.mpd", "id=\"lo\"", "id=\"hi\""); });
  breaks("segment-alignment", [](Stage& s) { s.change("index.mpd", "startWithSAP=\"1\"", ""); });
  breaks("mime-type", [](Stage& s) { s.change("index.mpd", "video/mp4", "video/mp2t"); });
  breaks("sample-rate", [](Stage& s) { s.change("index.mpd", "audioSamplingRate=\"48000\"", ""); });
  breaks("period-id", [](Stage& s) { second_period(s, "0", "PT8S"); });
  breaks("period-start", [](Stage& s) { second_period(s, "1", "PT0S"); });
  breaks("timeline", [](Stage& s) { s.change("index.mpd", "t=\"0\" d=\"180000\"", "t=\"1\" d=\"180000\""); });
  breaks("timeline", [](Stage& s) { s.change("index.mpd", "d=\"180000\"", "d=\"180001\""); });
  breaks("timeline-gap", [](Stage& s) {
    s.change("index.mpd", "<S t=\"0\" d=\"180000\" r=\"3\"/>",
             "<S t=\"0\" d=\"180000\"/><S t=\"200000\" d=\"180000\" r=\"2\"/>");
  });
  breaks("codecs", [](Stage& s) { s.change("index.mpd", "avc1.64000d", "avc1.42c01e"); });
  breaks("hls-dash", [](Stage& s) { s.change("index.mpd", " r=\"3\"", " r=\"2\""); });
  breaks("mpd-attribute", [](Stage& s) { s.change("index.mpd", "type=\"static\"", "type=\"dynamic\""); });
  breaks("from-the-future", [](Stage& s) {
    s.change("index.mpd", "type=\"static\"", "type=\"dynamic\" availabilityStartTime=\"2099-01-01T00:00:00Z\"");
  });
}

TEST_CASE("check: a file of the store is held against its own index") {
  Stage stage;
  const std::string init = stage.files["hi/init.mp4"];
  media::SegmentIndex index{.timescale = 90'000};
  std::string body;
  for (const char* name : {"hi/1.m4s", "hi/2.m4s"}) {
    index.references.push_back({static_cast<std::uint32_t>(stage.files[name].size()), 180'000});
    body += stage.files[name];
  }
  const auto file = [&] { return init + std::string{as_text(media::write_sidx(index).value())} + body; };
  Findings none;
  const auto facts = check_track_file(file(), "hi.cmfv", none);
  REQUIRE(facts);
  CHECK(none.empty());
  CHECK(facts->segments.size() == 2);
  index.references[1].duration = 1;
  Findings wrong;
  static_cast<void>(check_track_file(file(), "hi.cmfv", wrong));
  CHECK(wrong.has("sidx"));
  index.references[1].bytes -= 1;
  Findings cut;
  CHECK_FALSE(check_track_file(file(), "hi.cmfv", cut));
  CHECK(cut.has("sidx"));
}

TEST_CASE("check: a folder of the store without a track that can be read") {
  const media::testing::Scratch folder;
  std::ofstream{folder.path() / "video.json"} << "{}";
  const auto rules = [&] { return check_location(folder.path().string(), std::chrono::seconds{0})->findings; };
  CHECK(rules().has("track-missing"));
  std::filesystem::create_directories(folder.path() / "hi.cmfv");  // a folder is no track
  CHECK(rules().has("track-missing"));
}

TEST_CASE("check: the multivariant playlist of a live stays what it is") {
  Stage stage;
  for (const char* name : {"hi.m3u8", "lo.m3u8", "snd.m3u8"}) {
    stage.change(name, "#EXT-X-PLAYLIST-TYPE:VOD\n", "");
    stage.change(name, "#EXT-X-ENDLIST\n", "");
  }
  stage.files.erase("index.mpd");
  const media::testing::Scratch folder;
  stage.write(folder.path());
  const std::string place = (folder.path() / "index.m3u8").string();
  const auto followed = [&] { return check_location(place, std::chrono::seconds{1})->findings; };
  CHECK_FALSE(followed().has("multivariant-changed"));
  // Another one each time that it is read.
  const std::jthread changing{[&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      std::ofstream{place + ".new"} << stage.files.at("index.m3u8") << "# " << i << "\n";
      std::filesystem::rename(place + ".new", place);
    }
  }};
  CHECK(followed().has("multivariant-changed"));
}

TEST_CASE("check: a live playlist that moves as it should has no findings") {
  Findings findings;
  PlaylistHistory history{"live"};
  for (std::int64_t i = 0; i < 30; ++i) history.take(live(i, 6), i * 2'000, findings);
  HlsMedia cut = live(30, 6);
  cut.segments[5].discontinuity = true;
  history.take(cut, 60'000, findings);
  for (std::int64_t i = 31; i < 35; ++i) {
    HlsMedia next = live(i, 6);
    next.segments[static_cast<std::size_t>(35 - i)].discontinuity = true;
    history.take(next, i * 2'000, findings);
  }
  HlsMedia first = live(35, 6, 1);  // it left the list with the boundary before segment 35
  history.take(first, 70'000, findings);
  first.ended = true;
  history.take(first, 72'000, findings);
  history.take(first, 972'000, findings);  // what has ended does not move
  CHECK(findings.list() == std::vector<Finding>{});
}

TEST_CASE("check: a live playlist is read again: only what is new is fetched, and must follow whoever saw it first") {
  Stage stage;
  stage.change("hi.m3u8", "#EXT-X-PLAYLIST-TYPE:VOD\n", "");
  const std::string all = stage.files["hi.m3u8"];
  const auto until_segment = [&](const std::string& name) { return all.substr(0, all.find(name) + name.size() + 1); };
  stage.files["hi.m3u8"] = until_segment("hi/2.m4s");
  const media::testing::Scratch folder;
  const std::string location = (folder.path() / "hi.m3u8").string();
  const auto findings_of = [&](const std::function<void()>& meanwhile) {
    stage.write(folder.path());
    Findings findings;
    MediaStore media{findings};
    const auto first = load_playlist(location, media, findings);
    REQUIRE(first);
    // A manifest that is a moment younger lists one segment more: it is looked into for it.
    const auto third = (folder.path() / "hi/3.m4s").string();
    CHECK(media.segment(third, std::nullopt, *first->init, first->segments.back().facts) != nullptr);
    const std::uint64_t bytes = media.bytes();
    meanwhile();
    CHECK(load_playlist(location, media, findings));
    CHECK(media.segments() == 4);
    CHECK(media.bytes() == bytes + stage.files["hi/4.m4s"].size());
    return findings.counts();
  };
  const auto announce = [&](std::string playlist) { std::ofstream{location} << playlist; };
  CHECK(findings_of([&] { announce(until_segment("hi/4.m4s")); }).empty());
  CHECK(findings_of([&] {
          std::string playlist = until_segment("hi/4.m4s");
          playlist.insert(playlist.find("hi/3.m4s"), "#EXT-X-GAP\n");
          playlist.replace(playlist.find("VERSION:7"), 9, "VERSION:8");
          announce(playlist);
        }).empty());
  stage.files["hi/4.m4s"] = Stage::video_segment(3, 900, true, 1);
  CHECK(findings_of([&] { announce(until_segment("hi/4.m4s")); }).contains("tfdt-continuity"));
}

TEST_CASE("check: a live playlist over time: what must never change, and is told when it does") {
  const auto told = [](const HlsMedia& before, const HlsMedia& after, std::int64_t ms = 2'000) {
    Findings findings;
    PlaylistHistory history{"live"};
    history.take(before, 0, findings);
    history.take(after, ms, findings);
    return findings;
  };
  CHECK(told(live(10, 6), live(11, 6)).empty());
  CHECK(told(live(10, 6), live(9, 6)).has("media-sequence"));
  CHECK(told(live(10, 6), live(10, 5)).has("media-sequence"));
  CHECK(told(live(10, 6), live(11, 6, 1)).has("discontinuity-sequence"));
  CHECK(told(live(10, 6), live(10, 6), 7'000).has("stale"));
  CHECK_FALSE(told(live(10, 6), live(10, 6), 5'000).has("stale"));
  HlsMedia other = live(11, 6);
  other.segments[2].uri = "other.m4s";
  CHECK(told(live(10, 6), other).has("segment-changed"));
  other = live(11, 6);
  other.target_duration_s = 3;
  CHECK(told(live(10, 6), other).has("target-duration"));
  HlsMedia ended = live(10, 6);
  ended.ended = true;
  CHECK(told(ended, live(11, 6)).has("endlist"));
}

TEST_CASE("check: bit rates as RFC 8216 counts them") {
  const std::vector<Sized> segments{{2'000'000, 250'000}, {2'000'000, 500'000}, {500'000, 500'000}};
  CHECK(average_bandwidth(segments) == 2'222'222);
  // The last one alone is under half a target: it counts only together with the one before.
  CHECK(peak_bandwidth(segments, 2) == 3'200'000);
  CHECK(peak_bandwidth({{{500'000, 500'000}}}, 2) == 8'000'000);
  CHECK(peak_bandwidth({}, 2) == 0);
}

TEST_CASE("check: numbers in playlists and manifests, at their edges") {
  CHECK(parse_seconds_us("2").value() == 2'000'000);
  CHECK(parse_seconds_us("2.0000009").value() == 2'000'000);
  CHECK(parse_seconds_us("86400").has_value());
  for (const char* wrong : {"", "-1", "1e3", ".5", "2.", "2,0", "86401", "99999999999999999999"})
    CHECK_FALSE(parse_seconds_us(wrong));
  CHECK(parse_date_time_ms("1970-01-01T00:00:00.5Z").value() == 500);
  CHECK(parse_date_time_ms("1970-01-01T01:00:00+0100").value() == 0);
  CHECK(parse_date_time_ms("2026-11-23T21:28:03.123Z").value() == 1'795'469'283'123);
  for (const char* wrong :
       {"2026-02-30T00:00:00Z", "2026-11-23T21:28:03", "2026-11-23 21:28:03Z", "2026-11-23T21:28:03.Z", "x"}) {
    CHECK_FALSE(parse_date_time_ms(wrong));
  }
  CHECK(parse_duration_us("PT2.5S").value() == 2'500'000);
  CHECK(parse_duration_us("P1DT2H3M4S").value() == 93'784'000'000);
  CHECK(parse_duration_us("PT100000S").value() == 100'000'000'000);
  for (const char* wrong : {"", "P", "PT", "2S", "PT2", "P2S", "PTS", "PT1M1H", "P1Y", "PT-1S"})
    CHECK_FALSE(parse_duration_us(wrong));
}

TEST_CASE("check: limits of the readers, at the bound and one past it") {
  const auto playlist = [](std::size_t segments) {
    std::string out = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    for (std::size_t i = 0; i < segments; ++i) out += "#EXTINF:2,\ns\n";
    return out;
  };
  CHECK(parse_hls(playlist(kSegmentsMax)).has_value());
  CHECK(parse_hls(playlist(kSegmentsMax + 1)).error().code == Code::limit);
  const std::string head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#";
  CHECK(parse_hls(head + std::string(kLineBytesMax - 1, 'x')).has_value());
  CHECK(parse_hls(head + std::string(kLineBytesMax, 'x')).error().code == Code::limit);
  CHECK(parse_hls(std::string(kPlaylistBytesMax + 1, '\n')).error().code == Code::limit);
  CHECK(parse_mpd(std::string(kManifestBytesMax + 1, ' ')).error().code == Code::limit);
  std::string nested = "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">";
  for (int i = 0; i < 20'000; ++i) nested += "<a>";
  CHECK_FALSE(parse_mpd(nested));
  for (int i = 0; i < 20'000; ++i) nested += "</a>";
  CHECK(parse_mpd(nested + "</MPD>").error().code == Code::limit);
}

TEST_CASE("check: a playlist and a manifest that are cut at any byte end in an answer, never in a crash") {
  const Stage stage;
  for (const char* file : {"index.m3u8", "hi.m3u8", "index.mpd"}) {
    const std::string& whole = stage.files.at(file);
    std::size_t refused = 0;
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      const std::string_view cut = std::string_view{whole}.substr(0, bytes);
      if (!parse_hls(cut)) ++refused;
      if (!parse_mpd(cut)) ++refused;
    }
    CHECK(refused >= whole.size());  // no bytes are both
  }
}
