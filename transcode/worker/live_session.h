// One try at a live: a child, the source's readers and the rungs' writers, until one of them ends.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/http/client.h"
#include "transcode/sandbox/child_process.h"
#include "transcode/sandbox/protocol.h"
#include "transcode/sandbox/request.h"
#include "transcode/worker/context.h"
#include "transcode/worker/lease.h"

namespace ribalta::transcode {

/// Why a try ended.
enum class LiveEnd : std::uint8_t {
  stream_ended,  ///< the source's tracks ended, and the rungs with them
  fenced,        ///< a higher epoch holds a rung: the lease is lost, whatever we believe
  broken,        ///< something stopped; from what is durable it can go on
  stopped,       ///< we were asked to
};

struct LiveTask {
  StreamId stream;
  std::int64_t epoch = 0;
  http::Address packager;
  std::string source_video;  ///< empty: none
  std::string source_audio;  ///< empty: not needed
  LiveSettings settings;
};

class LiveSession : public std::enable_shared_from_this<LiveSession> {
 public:
  LiveSession(WorkerContext& context, LiveTask task, std::shared_ptr<Lease> lease);
  ~LiveSession();
  /// Runs to the end of this try.
  Task<LiveEnd> run();
  [[nodiscard]] const std::string& reason() const { return reason_; }
  /// Chunks that were written: a try that got somewhere.
  [[nodiscard]] std::uint64_t chunks() const { return chunks_; }

 private:
  struct Output;
  Task<Result<void>> start_child();
  Task<bool> await_source(std::string track);
  Task<void> read_source(std::string track, std::uint8_t number);
  Task<void> write_child();
  Task<void> read_child();
  Task<void> read_log();
  Task<void> watch_lease();
  Task<bool> on_message(Message message);
  Task<Result<void>> write_output(Output& output, const Bytes& bytes);
  Task<Result<void>> finish_outputs();
  Task<void> to_child(MessageKind kind, std::uint8_t track, ByteSpan payload);
  void end(LiveEnd how, std::string reason);
  http::Request request(std::string method, std::string target) const;
  void source_ended();

  WorkerContext& context_;
  LiveTask task_;
  std::shared_ptr<Lease> lease_;
  asio::any_io_executor loop_;
  Event changed_;  ///< anything below
  std::optional<ChildProcess> child_;
  std::optional<asio::posix::stream_descriptor> child_in_;
  std::optional<asio::posix::stream_descriptor> child_out_;
  std::optional<asio::posix::stream_descriptor> child_log_;
  MessageReader reader_;
  std::deque<Bytes> to_child_;
  std::size_t to_child_bytes_ = 0;
  int sources_ = 0;  ///< readers that have not come to the end of the stream
  int tasks_ = 0;    ///< coroutines that still run
  std::vector<std::shared_ptr<http::Download>> downloads_;
  std::vector<std::unique_ptr<Output>> outputs_;
  std::optional<LiveEnd> ended_;
  std::string reason_;
  std::string log_;
  std::uint64_t chunks_ = 0;
  Counter& chunks_total_;
};

}  // namespace ribalta::transcode
