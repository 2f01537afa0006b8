#include "transcode/sandbox/vod_child.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>

#include "core/json.h"
#include "transcode/sandbox/child_main.h"
#include "transcode/sandbox/child_process.h"
#include "transcode/sandbox/protocol.h"

namespace ribalta::transcode {
namespace {

constexpr int kPollMilliseconds = 200;
/// A child that has said all ends within milliseconds.
constexpr int kEndPolls = 50;
constexpr std::size_t kChildLogBytesMax = 8 * 1024;
constexpr std::string_view kKilled = "signal 9";
constexpr std::string_view kOverTime = "signal 24";  // SIGXCPU
constexpr std::string_view kNoMemorySentence = "The video needs more memory to process than is accepted here.";
constexpr std::string_view kOverTimeSentence = "The video takes longer to process than is accepted here.";

class Conversation {
 public:
  Conversation(ChildProcess& child, const VodChildOptions& options, MediaSink& sink, const std::atomic<bool>& cancelled)
      : child_(child), options_(options), sink_(sink), cancelled_(cancelled) {}

  /// Until the child's output ends.
  std::expected<VodSummary, WorkFailure> run();

 private:
  Result<void> read_messages();
  void read_log();
  Result<void> dispatch(Message message);
  std::expected<VodSummary, WorkFailure> ended(bool silent);

  ChildProcess& child_;
  const VodChildOptions& options_;
  MediaSink& sink_;
  const std::atomic<bool>& cancelled_;
  MessageReader reader_;
  bool open_ = true;
  bool sink_failed_ = false;
  std::string log_;
  std::optional<VodSummary> summary_;
  std::optional<Refusal> refusal_;
};

Result<void> Conversation::dispatch(Message message) {
  const auto to_sink = [this](Result<void> taken) {
    if (!taken) sink_failed_ = true;
    return taken;
  };
  switch (message.kind) {
    case MessageKind::report: {
      const Result<VodReport> report = json_read<VodReport>(as_text(message.payload));
      if (!report) return report.error().in("child's report");
      return to_sink(sink_.report(*report));
    }
    case MessageKind::init:
      return to_sink(sink_.init(message.track, std::move(message.payload)));
    case MessageKind::chunk:
      return to_sink(sink_.chunk(message.track, std::move(message.payload)));
    case MessageKind::poster:
      return to_sink(sink_.poster(std::move(message.payload)));
    case MessageKind::progress: {
      if (message.payload.size() != 4) return fail(Code::malformed, "progress of bytes", message.payload.size());
      return to_sink(sink_.progress(std::min(1.0, read_be32(message.payload) / 1e6)));
    }
    case MessageKind::summary: {
      const Result<VodSummary> summary = json_read<VodSummary>(as_text(message.payload));
      if (!summary) return summary.error().in("child's summary");
      summary_ = *summary;
      return {};
    }
    case MessageKind::refusal: {
      Result<RefusalReport> report = json_read<RefusalReport>(as_text(message.payload));
      if (!report) return report.error().in("child's refusal");
      refusal_ = Refusal{refusal_kind(report->kind), report->sentence, report->detail};
      return {};
    }
    case MessageKind::note:
      return {};
    case MessageKind::request:
    case MessageKind::media:
    case MessageKind::end:
      break;
  }
  return fail(Code::malformed, "the child sent a message that is ours to send");
}

Result<void> Conversation::read_messages() {
  std::array<std::byte, 64 * 1024> buffer{};
  const ssize_t got = ::read(child_.from_child.get(), buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR ? Result<void>{} : fail_errno("read from the child");
  if (got == 0) {
    open_ = false;
    return {};
  }
  reader_.feed(ByteSpan{buffer}.first(static_cast<std::size_t>(got)));
  for (;;) {
    Result<std::optional<Message>> message = reader_.next();
    if (!message) return pass(message);
    if (!*message) return {};
    if (const Result<void> done = dispatch(std::move(**message)); !done) return done;
  }
}

void Conversation::read_log() {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(child_.log.get(), buffer.data(), buffer.size());
  if (got <= 0) {
    child_.log.reset();
    return;
  }
  const std::size_t room = kChildLogBytesMax - std::min(kChildLogBytesMax, log_.size());
  log_.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
}

std::expected<VodSummary, WorkFailure> Conversation::run() {
  auto heard = std::chrono::steady_clock::now();
  while (open_) {
    if (cancelled_) {
      child_.kill();
      return std::unexpected{WorkFailure{.refusal = {}, .reason = "cancelled", .cancelled = true, .ours = true}};
    }
    if (std::chrono::steady_clock::now() - heard > options_.silence_max) {
      child_.kill();
      return ended(true);
    }
    std::array<pollfd, 2> waiting{{{child_.from_child.get(), POLLIN, 0}, {child_.log.get(), POLLIN, 0}}};
    const int ready = ::poll(waiting.data(), waiting.size(), kPollMilliseconds);
    if (ready <= 0) continue;
    if (waiting[1].revents != 0) read_log();
    if (waiting[0].revents == 0) continue;
    heard = std::chrono::steady_clock::now();
    if (const Result<void> read = read_messages(); !read) {
      child_.kill();
      return std::unexpected{
          WorkFailure{.refusal = {}, .reason = read.error().message, .cancelled = false, .ours = sink_failed_}};
    }
  }
  return ended(false);
}

std::expected<VodSummary, WorkFailure> Conversation::ended(bool silent) {
  std::optional<std::string> status;
  for (int i = 0; i < kEndPolls && !status; ++i) {
    status = child_.ended();
    if (!status) std::this_thread::sleep_for(std::chrono::milliseconds{kPollMilliseconds});
  }
  if (!status) child_.kill();  // it has closed its output and does not end
  const std::string how = status ? *status : child_.wait();
  while (child_.log.get() >= 0 && log_.size() < kChildLogBytesMax) read_log();
  if (refusal_) return std::unexpected{WorkFailure{.refusal = std::move(refusal_), .reason = how}};
  if (summary_ && how == "exit 0" && reader_.pending() == 0) return *summary_;
  WorkFailure failure{.refusal = {}, .reason = "the media child ended: " + how + " " + log_};
  // Killed by its limits or by damage that a decoder could not stand: the file's fault. Anything else is ours: the
  // kernel's memory killer and an operator's hand look like SIGKILL.
  const bool no_memory = how == "exit " + std::to_string(kExitOutOfMemory);
  failure.ours = (!how.starts_with("signal") && !no_memory) || how == kKilled || silent;
  if (failure.ours) return std::unexpected{std::move(failure)};
  failure.crashed = !no_memory && how != kOverTime;
  failure.refusal =
      failure.crashed ? refuse(RefusalKind::corrupt, failure.reason)
                      : refuse(RefusalKind::limits, no_memory ? kNoMemorySentence : kOverTimeSentence, failure.reason);
  return std::unexpected{std::move(failure)};
}

}  // namespace

std::expected<VodSummary, WorkFailure> run_vod_child(int input, std::uint64_t input_bytes,
                                                     const VodChildOptions& options, MediaSink& sink,
                                                     const std::atomic<bool>& cancelled) {
  const auto broken = [](const Error& error) {
    return std::unexpected{WorkFailure{.refusal = {}, .reason = error.message, .cancelled = false, .ours = true}};
  };
  Result<ChildProcess> child =
      ChildProcess::start({.program = options.program, .input = input, .niceness = options.niceness});
  if (!child) return broken(child.error());
  ChildRequest request;
  request.jail = options.jail;
  request.input_bytes = static_cast<std::int64_t>(input_bytes);
  request.vod = options.settings;
  const std::string text = json_write(request);
  if (const Result<void> asked = write_message(child->to_child.get(), MessageKind::request, 0, as_bytes(text));
      !asked) {
    return broken(asked.error());
  }
  child->to_child.reset();
  return Conversation{*child, options, sink, cancelled}.run();
}

}  // namespace ribalta::transcode
