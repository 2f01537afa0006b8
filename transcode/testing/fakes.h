// A control plane and a packager that only remember and answer what a test tells them, on sockets of a worker's node.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/daemon.h"
#include "core/http/server.h"
#include "transcode/worker/worker.h"

namespace ribalta::transcode::testing {

/// One call about a job.
struct JobCall {
  std::string job;
  std::string verb;  ///< heartbeat, complete, fail
  std::string body;
};

/// What a PUT brought, in order.
struct PutBody {
  std::string track;
  std::string epoch;
  Bytes bytes;
  bool whole = false;
};

/// Node, fakes and worker; the destructor stops them all.
class Farm {
 public:
  explicit Farm(const TranscodeConfig& config);
  ~Farm();
  Farm(const Farm&) = delete;
  Farm& operator=(const Farm&) = delete;

  /// Leased to the worker when it asks for that kind; it begins to ask with the first job.
  void queue(const std::string& kind, const std::string& job);
  /// Answers of `verb` from now on (200 by default).
  void answer(const std::string& verb, unsigned status);
  /// What GET of a track gives, whole; and its head where there is one.
  void serve_track(const std::string& track, Bytes bytes);
  void serve_head(const std::string& track, const std::string& json);
  /// The next PUTs of that track are answered early with this.
  void refuse_puts(const std::string& track, unsigned status, int times);

  /// The first call with that verb about a job; waits for it.
  JobCall await_call(const std::string& verb);
  /// Waits until the job before is over: a worker with room for one job then takes another, which cannot be worked on.
  void await_over(const std::string& kind);
  [[nodiscard]] std::vector<PutBody> puts();
  /// All that was put to a track, of the whole and the cut bodies together.
  [[nodiscard]] std::vector<Bytes> bodies_of(const std::string& track);
  [[nodiscard]] ObjectStore& store() { return *node_.store; }
  /// The store throws the next time that something is to be removed.
  void throw_on_remove() { throw_on_remove_ = true; }

 private:
  class Touchy;
  Task<void> lease(http::Exchange& exchange);
  Task<void> about_job(http::Exchange& exchange, std::string job, std::string verb);
  Task<void> get_track(http::Exchange& exchange, std::string track);
  Task<void> put_track(http::Exchange& exchange, std::string track);

  std::atomic<bool> throw_on_remove_{false};
  Node node_;
  http::Router control_;
  http::Router packager_;
  std::unique_ptr<http::Server> control_server_;
  std::unique_ptr<http::Server> packager_server_;
  std::unique_ptr<Worker> worker_;
  bool started_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::deque<std::string>> jobs_;
  std::map<std::string, unsigned> answers_;
  std::map<std::string, Bytes> tracks_;
  std::map<std::string, std::string> heads_;
  std::map<std::string, std::pair<unsigned, int>> refusals_;
  std::vector<JobCall> calls_;
  std::vector<PutBody> puts_;
};

}  // namespace ribalta::transcode::testing
