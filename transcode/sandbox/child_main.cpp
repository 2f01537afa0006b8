#include "transcode/sandbox/child_main.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <string>
#include <utility>

#include "core/json.h"
#include "transcode/media/av.h"
#include "transcode/media/live_pipeline.h"
#include "transcode/sandbox/child_process.h"
#include "transcode/sandbox/jail.h"
#include "transcode/sandbox/protocol.h"
#include "transcode/sandbox/request.h"

namespace ribalta::transcode {
namespace {

/// What the work makes goes through the pipe; one message at a time.
class PipeSink final : public MediaSink {
 public:
  Result<void> report(const VodReport& report) override {
    const std::string text = json_write(report);
    return send(MessageKind::report, 0, as_bytes(text));
  }
  Result<void> init(std::size_t track, Bytes bytes) override { return send(MessageKind::init, track, bytes); }
  Result<void> chunk(std::size_t track, Bytes bytes) override { return send(MessageKind::chunk, track, bytes); }
  Result<void> poster(Bytes jpeg) override { return send(MessageKind::poster, 0, jpeg); }
  Result<void> progress(double done) override {
    ByteWriter out;
    out.be32(static_cast<std::uint32_t>(done * 1e6));
    return send(MessageKind::progress, 0, out.view());
  }
  Result<void> send(MessageKind kind, std::size_t track, ByteSpan payload) {
    const std::lock_guard lock{mutex_};
    return write_message(STDOUT_FILENO, kind, static_cast<std::uint8_t>(track), payload);
  }

 private:
  std::mutex mutex_;
};

void say_refused(PipeSink& sink, const Refusal& refusal) {
  const RefusalReport report{std::string{to_string(refusal.kind)}, refusal.sentence, refusal.detail.substr(0, 8192)};
  const std::string text = json_write(report);
  static_cast<void>(sink.send(MessageKind::refusal, 0, as_bytes(text)));
}

void work_on_file(const FileWork& on_file, const ChildRequest& request, PipeSink& sink) {
  const auto bytes = static_cast<std::uint64_t>(request.input_bytes);
  const auto summary = on_file(kInputDescriptor, bytes, *request.vod, sink);
  if (!summary) return say_refused(sink, summary.error());
  const std::string text = json_write(*summary);
  static_cast<void>(sink.send(MessageKind::summary, 0, as_bytes(text)));
}

/// A picture that nothing follows for so long is shown without knowing when the next one comes.
constexpr int kIdleMilliseconds = 500;

/// The next message of the parent; none: nothing came for a while. @error closed: the parent has no more to say.
Result<std::optional<Message>> next_live_message(MessageReader& reader) {
  std::array<std::byte, 64 * 1024> buffer{};
  for (;;) {
    Result<std::optional<Message>> message = reader.next();
    if (!message || *message) return message;
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    if (::poll(&waiting, 1, kIdleMilliseconds) == 0) return std::optional<Message>{};
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(Code::closed, "the parent closed");
    reader.feed(ByteSpan{buffer}.first(static_cast<std::size_t>(got)));
  }
}

Result<void> work_on_live(const LiveSettings& settings, MessageReader& reader, PipeSink& sink) {
  LivePipeline pipeline{settings, sink};
  Result<void> done = pipeline.open();
  while (done) {
    const Result<std::optional<Message>> message = next_live_message(reader);
    if (!message) return pass(message);
    if (!*message) {
      done = pipeline.idle();
      continue;
    }
    if ((*message)->kind == MessageKind::end) return pipeline.finish();
    if ((*message)->kind != MessageKind::media) return fail(Code::malformed, "not a message of a live");
    done = (*message)->track == 0 ? pipeline.feed_video((*message)->payload) : pipeline.feed_audio((*message)->payload);
  }
  return done;
}

}  // namespace

int child_main(const FileWork& on_file) {
  MessageReader reader;
  const Result<std::optional<Message>> first = read_message(STDIN_FILENO, reader);
  if (!first || !*first || (*first)->kind != MessageKind::request) return 2;
  const Result<ChildRequest> request = json_read<ChildRequest>(as_text((*first)->payload));
  if (!request) return 2;
  capture_log();
  const JailLimits limits{.memory_bytes = static_cast<std::uint64_t>(request->jail.memory_mb) * 1024 * 1024,
                          .cpu_s = static_cast<std::uint64_t>(request->jail.cpu_s)};
  if (const Result<void> jailed = enter_jail(limits); !jailed) {
    const std::string text = "no jail, no work: " + jailed.error().message + "\n";
    static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()));
    return 3;
  }
  PipeSink sink;
  if (request->vod) work_on_file(on_file, *request, sink);
  if (request->live) {
    const Result<void> done = work_on_live(*request->live, reader, sink);
    if (done) {
      static_cast<void>(sink.send(MessageKind::summary, 0, as_bytes("{}")));
    } else {
      say_refused(sink, refuse(RefusalKind::corrupt, done.error().message + "; " + captured_log()));
    }
  }
  ::_exit(0);  // nothing to tidy that the end of the process does not; threads of libraries may still run
}

}  // namespace ribalta::transcode
