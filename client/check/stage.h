// A whole presentation for tests: two video rungs and a sound track of 8 s in HLS and DASH, right in everything, in a
// folder. Tests break one thing and look which rule says so.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "client/check/bandwidth.h"
#include "client/check/check.h"
#include "core/media/cmaf_writer.h"
#include "core/media/media_testing.h"

namespace ribalta::check::testing {

inline constexpr std::size_t kSegments = 4;
inline constexpr std::uint32_t kFrameTicks = 3'000;
inline constexpr std::size_t kFrames = 60;

class Stage {
 public:
  std::map<std::string, std::string> files;

  Stage() {
    const Bytes video_init = media::write_init(media::testing::video_config()).value();
    const Bytes audio_init = media::write_init(media::testing::audio_config()).value();
    files["hi/init.mp4"] = files["lo/init.mp4"] = text(video_init);
    files["snd/init.mp4"] = text(audio_init);
    for (std::size_t i = 0; i < kSegments; ++i) {
      const std::string name = "/" + std::to_string(i + 1) + ".m4s";
      files["hi" + name] = video_segment(static_cast<std::int64_t>(i), 900);
      files["lo" + name] = video_segment(static_cast<std::int64_t>(i), 300);
      files["snd" + name] = audio_segment(static_cast<std::int64_t>(i));
    }
    files["hi.m3u8"] = video_playlist("hi");
    files["lo.m3u8"] = video_playlist("lo");
    files["snd.m3u8"] = audio_playlist();
    files["index.m3u8"] =
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"snd."
        "m3u8\"\n" +
        variant("hi") + variant("lo");
    files["index.mpd"] = manifest();
  }

  /// Replaces one piece of a file by another; it must be there.
  void change(const std::string& file, std::string_view from, std::string_view to) {
    std::string& content = files.at(file);
    const std::size_t at = content.find(from);
    assert(at != std::string::npos);
    content.replace(at, from.size(), to);
  }

  void write(const std::filesystem::path& folder) const {
    for (const auto& [file, content] : files) {
      const std::filesystem::path path = folder / file;
      std::filesystem::create_directories(path.parent_path());
      std::ofstream{path, std::ios::binary} << content;
    }
  }

  /// The rules that were broken.
  [[nodiscard]] std::set<std::string> rules(const std::string& name = "index.m3u8") const {
    const media::testing::Scratch folder;
    write(folder.path());
    const auto checked = check_location((folder.path() / name).string(), std::chrono::seconds{0});
    if (!checked) return {"error: " + checked.error().message};
    std::set<std::string> out;
    for (const auto& [rule, count] : checked->findings.counts()) out.insert(rule);
    return out;
  }

  static std::string video_segment(std::int64_t number, std::size_t size, bool key = true, std::int64_t late_ticks = 0,
                                   std::uint32_t first_duration = kFrameTicks) {
    Bytes idr = frame(0x65, size);
    const Bytes other = frame(0x41, size);
    std::vector<media::Sample> samples;
    for (std::size_t i = 0; i < kFrames; ++i) {
      const std::int64_t dts =
          (number * static_cast<std::int64_t>(kFrames) + static_cast<std::int64_t>(i)) * kFrameTicks;
      const bool first = i == 0 && key;
      samples.push_back({.dts = dts + late_ticks + (i == 0 ? 0 : first_duration - std::int64_t{kFrameTicks}),
                         .duration = i == 0 ? first_duration : kFrameTicks,
                         .sync = first,
                         .data = first ? idr : other});
    }
    return chunks(media::testing::video_config(), samples);
  }

  /// `late`: by how many ticks its sound comes after the picture.
  static std::string audio_segment(std::int64_t number, std::int64_t late = 0) {
    const Bytes packet(200, std::byte{0x21});
    std::vector<media::Sample> samples;
    for (std::int64_t i = audio_begin(number); i < audio_end(number); ++i) {
      samples.push_back({.dts = late + i * 1'024, .duration = 1'024, .sync = true, .data = packet});
    }
    return chunks(media::testing::audio_config(), samples);
  }

 private:
  static std::string text(const Bytes& bytes) { return std::string{as_text(bytes)}; }
  static Bytes frame(std::uint8_t header, std::size_t size) {
    ByteWriter out;
    out.be32(static_cast<std::uint32_t>(1 + size));
    out.u8(header);
    for (std::size_t i = 0; i < size; ++i) out.u8(static_cast<std::uint8_t>(0x80 + i % 64));
    return out.take();
  }
  /// In chunks of half a segment, as a live has them.
  static std::string chunks(const media::TrackConfig& config, const std::vector<media::Sample>& samples) {
    const std::span<const media::Sample> all{samples};
    const std::size_t half = samples.size() / 2;
    return text(media::write_chunk(config, 1, all.first(half)).value()) +
           text(media::write_chunk(config, 2, all.subspan(half)).value());
  }
  static std::int64_t audio_begin(std::int64_t number) { return (number * 96'000 + 1'023) / 1'024; }
  static std::int64_t audio_end(std::int64_t number) {
    return number + 1 == static_cast<std::int64_t>(kSegments) ? 375 : audio_begin(number + 1);
  }
  static std::string seconds(std::int64_t us) {
    std::array<char, 32> out{};
    std::snprintf(out.data(), out.size(), "%lld.%06lld", static_cast<long long>(us / 1'000'000),
                  static_cast<long long>(us % 1'000'000));
    return out.data();
  }
  static std::int64_t audio_us(std::int64_t number) {
    return (audio_end(number) - audio_begin(number)) * 1'024 * 1'000'000 / 48'000;
  }
  static std::string media_playlist(const std::string& track, const auto& duration_us) {
    std::string out =
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"" +
        track + "/init.mp4\"\n";
    for (std::size_t i = 0; i < kSegments; ++i) {
      out += "#EXTINF:" + seconds(duration_us(static_cast<std::int64_t>(i))) + ",\n" + track + "/" +
             std::to_string(i + 1) + ".m4s\n";
    }
    return out + "#EXT-X-ENDLIST\n";
  }
  static std::string video_playlist(const std::string& track) {
    return media_playlist(track, [](std::int64_t) { return std::int64_t{2'000'000}; });
  }
  static std::string audio_playlist() { return media_playlist("snd", audio_us); }

  [[nodiscard]] std::vector<Sized> sizes(const std::string& track) const {
    std::vector<Sized> out;
    for (std::size_t i = 0; i < kSegments; ++i) {
      const std::int64_t us = track == "snd" ? audio_us(static_cast<std::int64_t>(i)) : 2'000'000;
      out.push_back({us, files.at(track + "/" + std::to_string(i + 1) + ".m4s").size()});
    }
    return out;
  }
  [[nodiscard]] std::string variant(const std::string& track) const {
    const std::int64_t peak = peak_bandwidth(sizes(track), 2) + peak_bandwidth(sizes("snd"), 2);
    const std::int64_t average = average_bandwidth(sizes(track)) + average_bandwidth(sizes("snd"));
    return "#EXT-X-STREAM-INF:BANDWIDTH=" + std::to_string(peak) + ",AVERAGE-BANDWIDTH=" + std::to_string(average) +
           ",CODECS=\"avc1.64000d,mp4a.40.2\",RESOLUTION=322x182,FRAME-RATE=30.000,AUDIO=\"a\"\n" + track + ".m3u8\n";
  }
  static std::string representation(const std::string& track, const std::string& shape, std::int64_t timescale,
                                    const std::string& timeline) {
    return "<Representation id=\"" + track + "\" bandwidth=\"200000\" " + shape + "><SegmentTemplate timescale=\"" +
           std::to_string(timescale) + "\" initialization=\"" + track + "/init.mp4\" media=\"" + track +
           "/$Number$.m4s\" startNumber=\"1\"><SegmentTimeline>" + timeline +
           "</SegmentTimeline></SegmentTemplate></Representation>";
  }
  static std::string manifest() {
    const std::string shape = "codecs=\"avc1.64000d\" width=\"322\" height=\"182\" frameRate=\"30\"";
    const std::string frames = "<S t=\"0\" d=\"180000\" r=\"3\"/>";
    std::string sound;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(kSegments); ++i) {
      sound += "<S t=\"" + std::to_string(audio_begin(i) * 1'024) + "\" d=\"" +
               std::to_string((audio_end(i) - audio_begin(i)) * 1'024) + "\"/>";
    }
    return "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
           "profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" minBufferTime=\"PT2S\" maxSegmentDuration=\"PT2.1S\" "
           "mediaPresentationDuration=\"PT8S\"><Period id=\"0\" start=\"PT0S\">"
           "<AdaptationSet contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">" +
           representation("hi", shape, 90'000, frames) + representation("lo", shape, 90'000, frames) +
           "</AdaptationSet><AdaptationSet contentType=\"audio\" mimeType=\"audio/mp4\" segmentAlignment=\"true\" "
           "startWithSAP=\"1\">" +
           representation("snd", "codecs=\"mp4a.40.2\" audioSamplingRate=\"48000\"", 48'000, sound) +
           "</AdaptationSet></Period></MPD>\n";
  }
};

}  // namespace ribalta::check::testing
