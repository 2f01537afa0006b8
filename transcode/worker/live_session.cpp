#include "transcode/worker/live_session.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "core/internal_auth.h"
#include "core/json.h"
#include "core/log.h"

namespace ribalta::transcode {
namespace {

/// Source bytes that wait for the child: about 4 s of a good source. When they are so many, the packager is not read
/// on; it then skips to a newer key frame, and the rungs show a gap instead of falling ever further behind.
constexpr std::size_t kChildBytesWaitingMax = 4 * 1024 * 1024;
/// A live source may be silent for its whole grace period and a little more.
constexpr std::chrono::milliseconds kSourceIdleMax{120'000};
constexpr std::chrono::milliseconds kWaitStep{60'000};
/// The job comes after the source's first frames; the packager may be just restarting.
constexpr std::chrono::milliseconds kSourceWait{30'000};
constexpr std::chrono::milliseconds kSourceAskEvery{300};
constexpr std::size_t kChildLogBytesMax = 8 * 1024;
/// A child that closes its output ends within milliseconds.
constexpr std::chrono::milliseconds kEndPoll{10};
constexpr int kEndPolls = 50;

}  // namespace

/// A rung on its way to the packager. The PUT is opened with the first chunk, so that it never waits for one.
struct LiveSession::Output {
  std::string track;
  Bytes init;
  std::unique_ptr<http::Upload> upload;
};

LiveSession::LiveSession(WorkerContext& context, LiveTask task, std::shared_ptr<Lease> lease)
    : context_(context),
      task_(std::move(task)),
      lease_(std::move(lease)),
      loop_(lease_->loop),
      changed_(loop_),
      chunks_total_(context.node.metrics.counter("ribalta_transcode_live_chunks_total",
                                                 "chunks of live rungs sent to the packager")) {
  for (const LiveRung& rung : task_.settings.rungs) {
    outputs_.push_back(std::make_unique<Output>(Output{rung.rung.track, {}, {}}));
  }
  for (const media::LadderAudio& audio : task_.settings.audio) {
    outputs_.push_back(std::make_unique<Output>(Output{audio.track, {}, {}}));
  }
}

LiveSession::~LiveSession() = default;

void LiveSession::end(LiveEnd how, std::string reason) {
  if (ended_) return;
  ended_ = how;
  reason_ = std::move(reason);
  // Everything that waits for a peer wakes up with an error.
  if (child_) child_->kill();
  boost::system::error_code ignored;
  if (child_in_) child_in_->close(ignored);
  if (child_out_) child_out_->close(ignored);
  if (child_log_) child_log_->close(ignored);
  for (const auto& download : downloads_) download->cut();
  for (const auto& output : outputs_) {
    if (output->upload) output->upload->cut();
  }
  changed_.notify_all();
}

http::Request LiveSession::request(std::string method, std::string target) const {
  http::Request out;
  out.method = std::move(method);
  out.target = std::move(target);
  const Node& node = context_.node;
  out.fields.set(kNodeField, sign_internal(node.node_secret, node.id, out.method, out.target, wall_now()));
  return out;
}

Task<Result<void>> LiveSession::start_child() {
  Result<ChildProcess> child = ChildProcess::start({.program = context_.config.program, .input = -1, .niceness = 0});
  if (!child) co_return pass(child);
  child_.emplace(std::move(*child));
  child_in_.emplace(loop_, child_->to_child.release());
  child_out_.emplace(loop_, child_->from_child.release());
  child_log_.emplace(loop_, child_->log.release());
  ChildRequest request;
  request.jail.memory_mb = context_.config.child_memory_mb;
  request.live = task_.settings;
  const std::string text = json_write(request);
  co_await to_child(MessageKind::request, 0, as_bytes(text));
  co_return Result<void>{};
}

/// Queues a message; waits while too much is queued.
Task<void> LiveSession::to_child(MessageKind kind, std::uint8_t track, ByteSpan payload) {
  while (!ended_ && to_child_bytes_ > kChildBytesWaitingMax) {
    const std::uint64_t seen = changed_.version();
    if (to_child_bytes_ <= kChildBytesWaitingMax) break;
    co_await changed_.wait(seen, kWaitStep);
  }
  Bytes message = message_header(kind, track, payload.size());
  message.insert(message.end(), payload.begin(), payload.end());
  to_child_bytes_ += message.size();
  to_child_.push_back(std::move(message));
  changed_.notify_all();
}

Task<void> LiveSession::write_child() {
  while (!ended_) {
    if (to_child_.empty()) {
      const std::uint64_t seen = changed_.version();
      co_await changed_.wait(seen, kWaitStep);
      continue;
    }
    const Bytes message = std::move(to_child_.front());
    to_child_.pop_front();
    const auto [error, written] = co_await asio::async_write(*child_in_, asio::buffer(message), kTuple);
    to_child_bytes_ -= message.size();
    changed_.notify_all();
    if (error) co_return;  // its end of output tells why
  }
}

/// Asks in short calls until the track exists: a GET would be held by the packager, and could not be cut while it
/// waits.
/// @return false: it does not come, or this try has ended.
Task<bool> LiveSession::await_source(std::string track) {
  const auto until = std::chrono::steady_clock::now() + kSourceWait;
  while (!ended_ && std::chrono::steady_clock::now() < until) {
    http::Request get = request("GET", "/tracks/" + task_.stream.text() + "/" + track + "/head");
    const Result<http::Response> answer = co_await http::call(task_.packager, std::move(get));
    if (ended_) co_return false;
    if (answer && (answer->status == 200 || answer->status == 410)) co_return true;
    const std::uint64_t seen = changed_.version();
    co_await changed_.wait(seen, kSourceAskEvery);
  }
  co_return false;
}

Task<void> LiveSession::read_source(std::string track, std::uint8_t number) {
  const bool exists = co_await await_source(track);
  if (!exists) {
    end(LiveEnd::broken, "source " + track + " does not come");
    co_return;
  }
  http::Request get = request("GET", "/tracks/" + task_.stream.text() + "/" + track + "?from=start");
  http::ClientLimits limits;
  limits.read_idle = kSourceIdleMax;
  Result<std::unique_ptr<http::Download>> opened =
      co_await http::Download::open(task_.packager, std::move(get), limits);
  if (!opened) {
    end(LiveEnd::broken, "source " + track + ": " + opened.error().message);
    co_return;
  }
  const std::shared_ptr<http::Download> download{std::move(*opened)};
  if (ended_) co_return;
  downloads_.push_back(download);
  if (download->head().status == 410) {
    source_ended();
    co_return;
  }
  if (download->head().status != 200) {
    end(LiveEnd::broken, "source " + track + ": status " + std::to_string(download->head().status));
    co_return;
  }
  while (!ended_) {
    const Result<ByteSpan> piece = co_await download->read_some();
    if (ended_) co_return;
    if (!piece) {
      end(LiveEnd::broken, "source " + track + ": " + piece.error().message);
      co_return;
    }
    if (piece->empty()) break;
    co_await to_child(MessageKind::media, number, *piece);
  }
  source_ended();
}

/// The child is told once all sources have ended.
void LiveSession::source_ended() {
  if (--sources_ > 0 || ended_) return;
  Bytes message = message_header(MessageKind::end, 0, 0);
  to_child_bytes_ += message.size();
  to_child_.push_back(std::move(message));
  changed_.notify_all();
}

Task<Result<void>> LiveSession::write_output(Output& output, const Bytes& bytes) {
  if (!output.upload) {
    http::Request put = request("PUT", "/tracks/" + task_.stream.text() + "/" + output.track);
    put.fields.set("Ribalta-Epoch", std::to_string(task_.epoch));
    put.fields.set("Content-Type", "video/mp4");
    Result<std::unique_ptr<http::Upload>> opened = co_await http::Upload::open(task_.packager, std::move(put));
    if (!opened) co_return pass(opened);
    output.upload = std::move(*opened);
    if (ended_) co_return fail(Code::closed, "ended");
    const Result<void> written = co_await output.upload->write(output.init);
    if (!written) co_return written;
  }
  const Result<void> written = co_await output.upload->write(bytes);
  co_return written;
}

Task<bool> LiveSession::on_message(Message message) {
  if (message.kind == MessageKind::init || message.kind == MessageKind::chunk) {
    if (message.track >= outputs_.size()) {
      end(LiveEnd::broken, "the child wrote a track that was not asked for");
      co_return false;
    }
    Output& output = *outputs_[message.track];
    if (message.kind == MessageKind::init) {
      output.init = std::move(message.payload);
      co_return true;
    }
    const Result<void> written = co_await write_output(output, message.payload);
    if (ended_) co_return false;
    if (written) {
      ++chunks_;
      chunks_total_.add();
      co_return true;
    }
    const unsigned status = output.upload && output.upload->early_answer() ? output.upload->early_answer()->status : 0;
    const std::string reason = output.track + ": " + written.error().message;
    end(status == 409 ? LiveEnd::fenced : status == 410 ? LiveEnd::stream_ended : LiveEnd::broken, reason);
    co_return false;
  }
  if (message.kind == MessageKind::refusal) {
    const Result<RefusalReport> report = json_read<RefusalReport>(as_text(message.payload));
    end(LiveEnd::broken, "the child gave up: " + (report ? report->detail : std::string{"without a reason"}));
    co_return false;
  }
  if (message.kind == MessageKind::summary) {
    const Result<void> finished = co_await finish_outputs();
    if (finished)
      end(LiveEnd::stream_ended, "the stream ended");
    else
      end(LiveEnd::broken, finished.error().message);
    co_return false;
  }
  co_return true;
}

Task<Result<void>> LiveSession::finish_outputs() {
  for (const auto& output : outputs_) {
    if (!output->upload) continue;
    const Result<http::Response> answer = co_await output->upload->finish();
    if (ended_) co_return fail(Code::closed, "ended");
    if (!answer) co_return answer.error().in("finish", output->track);
    if (answer->status != 200 && answer->status != 410) {
      co_return fail(Code::unavailable, "finish " + output->track + ": status", answer->status);
    }
  }
  co_return Result<void>{};
}

Task<void> LiveSession::read_child() {
  Bytes buffer(256 * 1024);
  while (!ended_) {
    const auto [error, got] = co_await child_out_->async_read_some(asio::buffer(buffer), kTuple);
    if (ended_) co_return;
    if (error) {
      std::optional<std::string> how = child_->ended();
      for (int i = 0; i < kEndPolls && !how && !ended_; ++i) {
        co_await sleep_for(kEndPoll);
        how = child_->ended();
      }
      end(LiveEnd::broken, "the media child ended: " + how.value_or("closed its output") + " " + log_);
      co_return;
    }
    reader_.feed(ByteSpan{buffer}.first(got));
    for (bool more = true; more;) {
      Result<std::optional<Message>> message = reader_.next();
      if (!message) {
        end(LiveEnd::broken, "the child: " + message.error().message);
        co_return;
      }
      if (!*message) break;
      Message taken = std::move(**message);
      more = co_await on_message(std::move(taken));
    }
  }
}

Task<void> LiveSession::read_log() {
  std::string buffer(4096, '\0');
  while (!ended_) {
    const auto [error, got] = co_await child_log_->async_read_some(asio::buffer(buffer), kTuple);
    if (error) co_return;
    if (log_.size() < kChildLogBytesMax) log_.append(buffer.data(), got);
  }
}

Task<void> LiveSession::watch_lease() {
  while (!ended_) {
    if (lease_->stop) {
      end(LiveEnd::stopped, "asked to stop");
      co_return;
    }
    const std::uint64_t seen = lease_->changed.version();
    if (lease_->stop) continue;
    co_await lease_->changed.wait(seen, kWaitStep);
  }
}

Task<LiveEnd> LiveSession::run() {
  const Result<void> started = co_await start_child();
  if (!started) {
    end(LiveEnd::broken, started.error().message);
    co_return LiveEnd::broken;
  }
  // Each keeps this object alive, and is counted until it ends; one that throws ends this try, and the next goes on
  // from what is durable.
  const auto go = [](std::shared_ptr<LiveSession> self, std::string name, Task<void> task) {
    const auto counted = [](std::shared_ptr<LiveSession> mine, std::string what, Task<void> inner) -> Task<void> {
      const AtEnd over{[&mine] {
        --mine->tasks_;
        mine->changed_.notify_all();
      }};
      try {
        co_await std::move(inner);
      } catch (const std::exception& exception) {
        log_error("coroutine ended by an exception", {{"coroutine", what}, {"what", exception.what()}});
        mine->end(LiveEnd::broken, what + ": " + exception.what());
      }
    };
    ++self->tasks_;
    spawn(self->loop_, name, counted(self, name, std::move(task)));
  };
  const std::shared_ptr<LiveSession> self = shared_from_this();
  const AtEnd over{[this] { end(LiveEnd::broken, "given up"); }};  // nothing, where it has ended
  sources_ = (task_.source_video.empty() ? 0 : 1) + (task_.source_audio.empty() ? 0 : 1);
  go(self, "live child in", write_child());
  go(self, "live child out", read_child());
  go(self, "live child log", read_log());
  if (!task_.source_video.empty()) go(self, "live source video", read_source(task_.source_video, 0));
  if (!task_.source_audio.empty()) go(self, "live source audio", read_source(task_.source_audio, 1));
  go(self, "live lease", watch_lease());
  while (!ended_) {
    const std::uint64_t seen = changed_.version();
    co_await changed_.wait(seen, kWaitStep);
  }
  lease_->changed.notify_all();  // wakes watch_lease
  while (tasks_ > 0) {
    const std::uint64_t seen = changed_.version();
    if (tasks_ == 0) break;
    co_await changed_.wait(seen, kWaitStep);
  }
  child_.reset();  // killed above where it still ran
  co_return *ended_;
}

}  // namespace ribalta::transcode
