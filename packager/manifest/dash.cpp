#include "packager/manifest/dash.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "packager/manifest/hls.h"

namespace ribalta::packager {
namespace {

std::string iso_duration(std::int64_t us) { return "PT" + seconds_text(us) + "S"; }

std::string attribute(std::string_view name, std::string_view value) {
  std::string out = " ";
  out += name;
  out += "=\"";
  for (const char c : value) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  out += '"';
  return out;
}
std::string attribute(std::string_view name, std::int64_t value) { return attribute(name, std::to_string(value)); }

/// Frame rates are fractions in MPDs: whole, over 1001, or in thousandths.
std::string frame_rate(double fps) {
  const double whole = std::round(fps);
  if (std::abs(fps - whole) < 0.001) return std::to_string(static_cast<std::int64_t>(whole));
  const double ntsc = std::round(fps * 1.001);
  if (std::abs(fps * 1.001 - ntsc) < 0.002) return std::to_string(static_cast<std::int64_t>(ntsc) * 1'000) + "/1001";
  return std::to_string(static_cast<std::int64_t>(std::round(fps * 1'000))) + "/1000";
}

/// Runs of equal durations that follow each other without a hole become one S with @r.
void write_timeline(std::string& out, const std::vector<DashSegment>& segments) {
  out += "          <SegmentTimeline>\n";
  for (std::size_t i = 0; i < segments.size();) {
    std::size_t end = i + 1;
    while (end < segments.size() && segments[end].duration == segments[i].duration &&
           segments[end].time == segments[end - 1].time + segments[end - 1].duration) {
      ++end;
    }
    out += "            <S" + attribute("t", segments[i].time) + attribute("d", segments[i].duration);
    if (end - i > 1) out += attribute("r", static_cast<std::int64_t>(end - i - 1));
    out += "/>\n";
    i = end;
  }
  out += "          </SegmentTimeline>\n";
}

void write_representation(std::string& out, const DashRepresentation& representation) {
  out += "      <Representation" + attribute("id", representation.id) + attribute("codecs", representation.codecs) +
         attribute("bandwidth", representation.bandwidth);
  if (representation.width > 0) {
    out += attribute("width", representation.width) + attribute("height", representation.height);
    if (representation.fps > 0) out += attribute("frameRate", frame_rate(representation.fps));
  }
  if (representation.sample_rate > 0) out += attribute("audioSamplingRate", representation.sample_rate);
  out += ">\n";
  if (representation.channels > 0) {
    out += "        <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\"" +
           attribute("value", representation.channels) + "/>\n";
  }
  out += "        <SegmentTemplate" + attribute("timescale", representation.timescale) +
         attribute("presentationTimeOffset", representation.presentation_time_offset) +
         attribute("initialization", representation.init_uri) + attribute("media", representation.media_uri) +
         attribute("startNumber", representation.start_number) + ">\n";
  write_timeline(out, representation.segments);
  out += "        </SegmentTemplate>\n      </Representation>\n";
}

void write_adaptation_set(std::string& out, const DashAdaptationSet& set, std::size_t id) {
  const bool video = set.kind == media::TrackKind::video;
  out += "    <AdaptationSet" + attribute("id", static_cast<std::int64_t>(id)) +
         attribute("contentType", video ? "video" : "audio") + attribute("mimeType", video ? "video/mp4" : "audio/mp4");
  if (!set.language.empty()) out += attribute("lang", set.language);
  out += attribute("segmentAlignment", "true") + attribute("startWithSAP", std::int64_t{1}) + ">\n";
  out += "      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\n";
  for (const DashRepresentation& representation : set.representations) write_representation(out, representation);
  out += "    </AdaptationSet>\n";
}

}  // namespace

std::string write_mpd(const DashManifest& manifest) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"";
  out += attribute("type", manifest.dynamic ? "dynamic" : "static");
  out +=
      attribute("profiles", manifest.dynamic ? "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"
                                             : "urn:mpeg:dash:profile:isoff-live:2011");
  out += attribute("minBufferTime", iso_duration(manifest.segment_duration_max_us));
  out += attribute("maxSegmentDuration", iso_duration(manifest.segment_duration_max_us));
  if (manifest.dynamic) {
    out += attribute("availabilityStartTime", to_rfc3339(manifest.availability_start)) +
           attribute("publishTime", to_rfc3339(manifest.now)) +
           attribute("minimumUpdatePeriod", iso_duration(manifest.update_period_us)) +
           attribute("timeShiftBufferDepth", iso_duration(manifest.time_shift_depth_us)) +
           attribute("suggestedPresentationDelay", iso_duration(manifest.presentation_delay_us));
  } else {
    out += attribute("mediaPresentationDuration", iso_duration(manifest.duration_us));
  }
  out += ">\n";
  for (const DashPeriod& period : manifest.periods) {
    out += "  <Period" + attribute("id", period.id) + attribute("start", iso_duration(period.start_us)) + ">\n";
    std::size_t id = 0;
    for (const DashAdaptationSet& set : period.adaptation_sets) write_adaptation_set(out, set, id++);
    out += "  </Period>\n";
  }
  if (manifest.dynamic) {
    out += "  <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\"" + attribute("value", to_rfc3339(manifest.now)) +
           "/>\n";
  }
  out += "</MPD>\n";
  return out;
}

}  // namespace ribalta::packager
