#include <boost/describe/class.hpp>
#include <cmath>
#include <cstdio>
#include <optional>
#include <thread>

#include "client/commands.h"
#include "client/progress.h"

namespace ribalta::client {
namespace {

constexpr std::chrono::milliseconds kAskEvery{500};
/// So long a wait goes on though nobody answers: the control plane restarts in seconds.
constexpr std::chrono::minutes kSilenceMax{5};

struct Failure {
  std::string kind;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(Failure, (), (kind, reason))
struct Work {
  std::optional<std::string> stage;
  double progress = 0;
  std::optional<Failure> failure;
};
BOOST_DESCRIBE_STRUCT(Work, (), (stage, progress, failure))
struct Playable {
  std::string hls;
  std::string dash;
};
BOOST_DESCRIBE_STRUCT(Playable, (), (hls, dash))
struct MyVideo {
  std::string state;
  std::optional<Work> work;
  std::optional<Playable> video;
};
BOOST_DESCRIBE_STRUCT(MyVideo, (), (state, work, video))

struct Outcome {
  std::string file;
  std::string video;
  std::string state;  ///< ready, failed, or processing where nobody waits
  std::optional<Failure> failure;
  std::optional<Playable> playable;
  double seconds = 0;
};

Outcome failed(Outcome outcome, Refusal refusal) {
  outcome.state = "failed";
  outcome.failure = Failure{std::move(refusal.code), std::move(refusal.message)};
  return outcome;
}

/// Until the video is ready or has failed.
Outcome wait_for(const Instance& instance, const std::string& token, Outcome outcome, ProgressLine& line, bool& known) {
  auto heard = std::chrono::steady_clock::now();
  while (true) {
    const Result<http::Response> response = instance.call("GET", "/me/videos/" + outcome.video, token);
    const bool answered = response && response->status < 500 && response->status != 429;
    if (answered) heard = std::chrono::steady_clock::now();
    if (answered && response->status != 200) {
      known = true;
      return failed(std::move(outcome), refusal_of(*response));
    }
    if (answered) {
      Result<MyVideo> video = json_read<MyVideo>(response->body, JsonUnknown::ignore);
      if (!video) return failed(std::move(outcome), {"protocol", video.error().message});
      outcome.state = video->state;
      if (video->state == "ready") outcome.playable = std::move(video->video);
      if (video->state == "failed") {
        outcome.failure =
            video->work && video->work->failure ? video->work->failure : Failure{"unknown", "No reason was given."};
      }
      known = video->state == "ready" || video->state == "failed";
      if (known) return outcome;
      line.share(video->work ? video->work->progress : 0,
                 video->work && video->work->stage ? *video->work->stage : video->state);
    }
    if (std::chrono::steady_clock::now() - heard > kSilenceMax) {
      return failed(std::move(outcome),
                    {"unreachable", "The instance does not answer. Run the same command again to go on waiting."});
    }
    std::this_thread::sleep_for(kAskEvery);
  }
}

void print_json(const Instance& instance, const Outcome& outcome) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? std::string{"null"} : json_write(text);
  };
  // Whole URLs: what comes out here goes straight into a player.
  const auto playable = [&](std::string Playable::* which) {
    if (!outcome.playable) return std::string{};
    const std::string& given = (*outcome.playable).*which;
    return instance.url(given).value_or(given);
  };
  const double milliseconds = std::round(outcome.seconds * 1000);
  const std::string line = "{\"file\":" + json_write(outcome.file) +                                        //
                           ",\"video\":" + text_or_null(outcome.video) +                                    //
                           ",\"state\":" + json_write(outcome.state) +                                      //
                           ",\"kind\":" + text_or_null(outcome.failure ? outcome.failure->kind : "") +      //
                           ",\"reason\":" + text_or_null(outcome.failure ? outcome.failure->reason : "") +  //
                           ",\"seconds\":" + json_write(milliseconds / 1000) +                              //
                           ",\"hls\":" + text_or_null(playable(&Playable::hls)) +                           //
                           ",\"dash\":" + text_or_null(playable(&Playable::dash)) + "}";
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void print_text(const Instance& instance, const Outcome& outcome) {
  if (outcome.state == "failed") {
    std::printf("%s: failed: %s (%s)\n", outcome.file.c_str(), outcome.failure->reason.c_str(),
                outcome.failure->kind.c_str());
  } else {
    std::printf("%s: %s %s/watch/%s\n", outcome.file.c_str(), outcome.state.c_str(), instance.site().c_str(),
                outcome.video.c_str());
  }
  std::fflush(stdout);
}

Outcome upload_one(const Instance& instance, const std::string& token, const std::string& file,
                   const UploadFlags& flags, const UploadSettings& settings) {
  ProgressLine line{std::filesystem::path{file}.filename().string()};
  const auto begun = std::chrono::steady_clock::now();
  Outcome outcome{.file = file, .state = "processing"};
  auto uploaded = upload_file(
      instance, token, file, settings,
      [&line](std::int64_t bytes, std::int64_t of, const std::string& waiting) { line.bytes(bytes, of, waiting); });
  if (!uploaded) {
    outcome.video = uploaded.error().video;
    outcome = failed(std::move(outcome), uploaded.error().refusal);
  } else {
    outcome.video = uploaded->video();
    bool known = true;
    if (flags.wait) outcome = wait_for(instance, token, std::move(outcome), line, known);
    if (known) uploaded->forget();
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return outcome;
}

}  // namespace

int upload(const std::filesystem::path& data, const UploadFlags& flags, const UploadSettings& base) {
  const Result<Instance> instance = Instance::open(data);
  if (!instance) {
    std::fprintf(stderr, "%s\n", instance.error().message.c_str());
    return 1;
  }
  Result<std::string> token = user_token(*instance, flags.user);
  if (!token) {
    std::fprintf(stderr, "%s\n", token.error().message.c_str());
    return 1;
  }
  UploadSettings settings = base;
  settings.title = flags.title;
  bool all_good = true;
  for (const std::string& file : flags.files) {
    Outcome outcome = upload_one(*instance, *token, file, flags, settings);
    if (outcome.failure && outcome.failure->kind == "not_signed_in") {
      // A kept token can be revoked; a new one is tried once.
      forget_user_token(*instance, flags.user);
      token = user_token(*instance, flags.user);
      if (token) outcome = upload_one(*instance, *token, file, flags, settings);
      if (!token) {
        std::fprintf(stderr, "%s\n", token.error().message.c_str());
        return 1;
      }
    }
    all_good = all_good && outcome.state != "failed";
    if (flags.json) {
      print_json(*instance, outcome);
    } else {
      print_text(*instance, outcome);
    }
  }
  return all_good ? 0 : 1;
}

}  // namespace ribalta::client
