#include "transcode/testing/media_files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace ribalta::transcode::testing {
namespace {

struct Scratch {
  std::filesystem::path path;
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ribalta-transcode-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

std::vector<double> numbers_after(const std::string& text, const std::string& key) {
  std::vector<double> out;
  for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1)) {
    out.push_back(std::strtod(text.c_str() + at + key.size(), nullptr));
  }
  return out;
}

}  // namespace

std::filesystem::path scratch() {
  static const Scratch folder;
  return folder.path;
}

std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), got);
  ::pclose(pipe);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::optional<std::filesystem::path> generate(const std::string& name, const std::string& arguments) {
  static const bool present = std::system("ffmpeg -version >/dev/null 2>&1") == 0;
  if (!present) {
    MESSAGE("ffmpeg is not installed: left out");
    return std::nullopt;
  }
  const std::filesystem::path file = scratch() / name;
  if (!std::filesystem::exists(file)) {
    const std::string complaint = output_of("ffmpeg -v error -nostdin -y " + arguments + " " + file.string() + " 2>&1");
    INFO(arguments, ": ", complaint);
    REQUIRE(std::filesystem::exists(file));
  }
  return file;
}

std::string probe(const std::string& path, const std::string& entries, const std::string& more) {
  std::string out = output_of("ffprobe -v error " + more + " -select_streams 0 -show_entries " + entries +
                              " -of csv=p=0 " + path + " 2>&1");
  while (!out.empty() && out.back() == ',') out.pop_back();
  return out;
}

std::string errors_in(const std::string& path) {
  return output_of("ffmpeg -v error -nostdin -i " + path + " -f null - 2>&1");
}

std::vector<double> beep_times(const std::string& path) {
  return numbers_after(
      output_of("ffmpeg -nostdin -hide_banner -i " + path + " -af silencedetect=noise=-30dB:d=0.2 -f null - 2>&1"),
      "silence_end: ");
}

std::vector<double> flash_times(const std::string& path) {
  return numbers_after(
      output_of("ffmpeg -nostdin -hide_banner -i " + path + " -vf negate,blackdetect=d=0.01:pix_th=0.3 -f null - 2>&1"),
      "black_start:");
}

double mean_volume(const std::string& path) {
  const auto found = numbers_after(
      output_of("ffmpeg -nostdin -hide_banner -i " + path + " -vn -af volumedetect -f null - 2>&1"), "mean_volume: ");
  REQUIRE(found.size() == 1);
  return found[0];
}

Result<void> KeepingSink::report(const VodReport& report) {
  const std::lock_guard lock{mutex_};
  kept_report = report;
  tracks.resize(report.rungs.size() + report.audio.size());
  return {};
}

Result<void> KeepingSink::init(std::size_t track, Bytes bytes) {
  const std::lock_guard lock{mutex_};
  Result<media::TrackConfig> config = media::parse_init(bytes);
  if (!config) return pass(config);
  tracks.at(track).config = std::move(*config);
  tracks.at(track).init = std::move(bytes);
  return {};
}

Result<void> KeepingSink::chunk(std::size_t track, Bytes bytes) {
  const std::lock_guard lock{mutex_};
  KeptTrack& kept = tracks.at(track);
  Result<media::Chunk> parsed = media::parse_chunk(bytes, kept.config);
  if (!parsed) return pass(parsed);
  kept.chunks.push_back(std::move(bytes));  // moving a vector does not move its bytes
  kept.parsed.push_back(std::move(*parsed));
  return {};
}

Result<void> KeepingSink::poster(Bytes jpeg) {
  kept_poster = std::move(jpeg);
  return {};
}

Result<void> KeepingSink::progress(double done) {
  last_progress = done;
  return {};
}

std::string KeepingSink::write_track(std::size_t track, const std::string& name) const {
  const std::string path = (scratch() / (name + ".track.mp4")).string();
  std::ofstream out{path, std::ios::binary | std::ios::trunc};
  const auto put = [&](const Bytes& bytes) {
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  };
  put(tracks.at(track).init);
  for (const Bytes& chunk : tracks.at(track).chunks) put(chunk);
  return path;
}

std::expected<VodSummary, Refusal> work_on(const std::filesystem::path& file, const VodSettings& settings,
                                           MediaSink& sink) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  auto summary = transcode_file(descriptor, std::filesystem::file_size(file), settings, sink);
  ::close(descriptor);
  if (!summary) {
    MESSAGE(file.filename().string(), ": ", std::string{to_string(summary.error().kind)}, ": ", summary.error().detail);
  }
  return summary;
}

}  // namespace ribalta::transcode::testing
