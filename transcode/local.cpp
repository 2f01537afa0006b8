#include "transcode/local.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "transcode/sandbox/vod_child.h"
#include "transcode/worker/vod_store.h"

namespace ribalta::transcode {
namespace {

constexpr const char* kUsage =
    "usage: ribalta-transcode file FILE FOLDER [--preset NAME] [--crf N] [--short-side N] [--cores N]\n"
    "Transcodes FILE as an upload would be, into FOLDER/vod/local/1, and prints what came of it as JSON.\n"
    "  --preset NAME    of x264 (default: veryfast)\n"
    "  --crf N          quality of x264; 0 aims for each rung's mean bitrate instead (default: 23)\n"
    "  --short-side N   of the largest rung, pixels (default: 1080)\n"
    "  --cores N        to encode with\n"
    "Exit code: 0 done, 1 not (kind, reason and detail are the JSON), 2 wrong usage.\n";

struct LocalResult {
  VideoRecord record;
  VodReport report;
  VodSummary summary;
  double cpu_s = 0;  ///< of the media child
};
BOOST_DESCRIBE_STRUCT(LocalResult, (), (record, report, summary, cpu_s))

struct LocalRefusal {
  std::string kind;
  std::string reason;
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(LocalRefusal, (), (kind, reason, detail))

std::optional<double> number(std::string_view text) {
  const std::string copy{text};
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0' || !(value >= 0 && value <= 10'000)) return std::nullopt;
  return value;
}

/// @return false: an option or a value that does not exist.
bool read_option(std::string_view name, std::string_view value, VodSettings& settings) {
  if (name == "--preset") {
    settings.preset = value;
    return true;
  }
  const std::optional<double> wanted = number(value);
  if (!wanted) return false;
  if (name == "--crf")
    settings.crf = *wanted;
  else if (name == "--short-side")
    settings.short_side_max = static_cast<std::int64_t>(*wanted);
  else if (name == "--cores")
    settings.cores = static_cast<std::int64_t>(*wanted);
  else
    return false;
  return true;
}

double child_cpu_seconds() {
  struct rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int say_refusal(const LocalRefusal& refusal) {
  std::printf("%s\n", json_write(refusal).c_str());
  return 1;
}

}  // namespace

int local_main(int argc, char** argv) {
  if (argc > 0 && (std::string_view{argv[0]} == "--help" || std::string_view{argv[0]} == "-h")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  VodChildOptions options;
  options.niceness = 0;
  bool good = argc >= 2 && argc % 2 == 0;
  for (int i = 2; good && i + 1 < argc; i += 2) good = read_option(argv[i], argv[i + 1], options.settings);
  if (!good) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);  // a child that ends before it was asked is told by its end
  const std::filesystem::path folder = argv[1];
  const Descriptor input{::open(argv[0], O_RDONLY | O_CLOEXEC)};
  struct stat status{};
  if (input.get() < 0 || ::fstat(input.get(), &status) != 0)
    return say_refusal({"worker", "The file cannot be opened.", argv[0]});
  Result<std::unique_ptr<ObjectStore>> store = open_folder_store(folder);
  if (!store) return say_refusal({"worker", "The folder cannot be used.", store.error().message});

  const media::LadderOptions ladder{.short_side_max = options.settings.short_side_max,
                                    .fps_max = 60,
                                    .rungs_max = static_cast<std::size_t>(options.settings.rungs_max)};
  VodStore sink{**store, folder, "local", "1", options.settings.segment_ms, ladder, [](double done) {
                  std::fprintf(stderr, "\r%3.0f %%", done * 100);
                }};
  const std::atomic<bool> cancelled{false};
  const auto summary = run_vod_child(input.get(), static_cast<std::uint64_t>(status.st_size), options, sink, cancelled);
  std::fputc('\n', stderr);
  if (!summary) {
    const WorkFailure& failure = summary.error();
    if (!failure.refusal) return say_refusal({"worker", "Something went wrong here.", failure.reason});
    return say_refusal(
        {std::string{to_string(failure.refusal->kind)}, failure.refusal->sentence, failure.refusal->detail});
  }
  const Result<VideoRecord> record = sink.publish(*summary);
  if (!record) return say_refusal({"worker", "The tracks could not be stored.", record.error().message});
  std::printf("%s\n", json_write(LocalResult{*record, sink.source(), *summary, child_cpu_seconds()}).c_str());
  return 0;
}

}  // namespace ribalta::transcode
