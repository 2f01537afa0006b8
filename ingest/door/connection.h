// One RTMP connection: a wire, a session, and (once its key is accepted) a publisher. One coroutine reads, one watches
// the deadlines; both end with the connection.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/async.h"
#include "ingest/door/guard.h"
#include "ingest/door/pace.h"
#include "ingest/door/refusals.h"
#include "ingest/door/registry.h"
#include "ingest/door/wire.h"
#include "ingest/stream/publisher.h"

namespace ribalta::ingest {

/// What connections share; outlives them.
struct DoorContext {
  PublisherContext publishers;
  Registry& registry;
  Refusals& refusals;
  Counter& accepted;
  Counter& refused;
  Gauge& publishing;
  Gauge& connected;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// @param pace  outlives the loop's thread.
  Connection(DoorContext context, Pace& pace, asio::any_io_executor loop, std::unique_ptr<Wire> wire,
             std::string address);

  /// The whole life of the connection.
  static Task<void> run(std::shared_ptr<Connection> self);
  /// Ends it from elsewhere on the same loop: the publisher is told the sentence, then the connection is closed.
  void end(std::string sentence);
  [[nodiscard]] asio::any_io_executor loop() const { return loop_; }
  /// How long nothing has come.
  [[nodiscard]] std::chrono::milliseconds silent() const;

 private:
  /// Ends it when its line was cut and nobody has noticed; waits until it no longer publishes, at most kYieldWait.
  static Task<void> yield(std::shared_ptr<Connection> self);
  Task<void> wait_for_earlier();
  static Task<void> leave(Registry& registry, std::string key_hash, std::shared_ptr<Publisher> publisher);
  static Task<void> watch(std::shared_ptr<Connection> self);
  static Task<void> watch_deadlines(Connection& self);
  Task<Result<void>> converse();
  Task<Result<void>> hear(ByteSpan bytes);
  Task<Result<void>> handle(rtmp::Event event);
  Task<Result<void>> on_publish(rtmp::PublishRequest request);
  Task<Result<void>> flush();
  [[nodiscard]] Result<void> left() const;
  void tell_end(const Error& reason, std::string_view stream);
  void stop_publisher();

  DoorContext context_;
  Pace& pace_;
  asio::any_io_executor loop_;
  std::unique_ptr<Wire> wire_;
  std::string address_;
  Deadlines deadlines_;
  rtmp::Session session_;
  std::shared_ptr<Publisher> publisher_;
  std::string key_hash_;
  std::optional<std::string> sentence_;  ///< why it is to end, for the publisher
  std::optional<Error> expired_;         ///< the deadline that passed
  Event publisher_gone_;
  bool heard_ = false;  ///< anything at all
  bool published_ = false;
  bool done_ = false;
};

}  // namespace ribalta::ingest
