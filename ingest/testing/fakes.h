// The other rooms, faked for tests: a packager that reads what it is sent with the reader of core/media, and a control
// plane that answers what the test tells it. Real HTTP over Unix sockets; everything is kept for the test to look at.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/async.h"
#include "core/http/server.h"
#include "core/media/cmaf_reader.h"
#include "ingest/door/door.h"

namespace ribalta::ingest::testing {

/// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What the packager has of one track.
struct FakeTrack {
  std::int64_t epoch = 0;
  std::uint32_t timescale = 0;
  std::vector<media::TrackConfig> inits;  ///< each init segment that came, in order
  struct Chunk {
    std::int64_t decode_time = 0;
    std::int64_t decode_end = 0;
    std::int64_t presentation_time = 0;
    bool key = false;
    std::size_t samples = 0;
    std::int64_t epoch = 0;
    std::size_t init = 0;  ///< how many inits had come
  };
  std::vector<Chunk> chunks;
  std::vector<std::string> complaints;  ///< what a packager would have refused
  int puts = 0;
  int reads = 0;  ///< of what PUTs brought
};

class FakePackager {
 public:
  FakePackager(LoopPool& loops, const std::filesystem::path& socket);
  /// What has come so far; a copy.
  std::map<std::string, FakeTrack> tracks();
  /// Waits until the condition holds for the tracks, or the limit passes.
  bool wait_for(const std::function<bool(const std::map<std::string, FakeTrack>&)>& condition,
                std::chrono::milliseconds limit);
  /// Cuts every PUT that is open; forgets, as a restart would, what is not "durable": everything after the last key
  /// frame.
  void restart();
  /// Refuses from now on with this status (0: no more).
  void refuse(unsigned status);

 private:
  Task<void> put(http::Exchange& exchange, std::string key);
  Task<void> head(http::Exchange& exchange, std::string key);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, FakeTrack> tracks_;
  unsigned refused_ = 0;
  int generation_ = 0;
  std::unique_ptr<http::Server> server_;
};

struct FakeCall {
  std::string path;
  std::string body;
};

class FakeControl {
 public:
  using Answer = std::function<http::Response(const FakeCall&)>;
  FakeControl(LoopPool& loops, const std::filesystem::path& socket, Answer answer);
  std::vector<FakeCall> calls(std::string_view path_part);
  bool wait_for(std::string_view path_part, const std::function<bool(const std::vector<FakeCall>&)>& condition,
                std::chrono::milliseconds limit);
  void answer_with(Answer answer);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<FakeCall> calls_;
  Answer answer_;
  std::unique_ptr<http::Server> server_;
};

/// A program that runs beside the test; stopped at the end.
class Process {
 public:
  /// One that `tells` writes a byte to the descriptor in RIBALTA_READY_FD once it serves, as our daemons do.
  explicit Process(std::vector<std::string> arguments, std::filesystem::path log, bool tells = false);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  /// Returns once it serves. @return false: it ended before.
  bool wait_ready();
  /// @return its exit code; -1 when a signal ended it.
  int wait();
  void signal(int number) const;
  [[nodiscard]] std::string log() const;

 private:
  int pid_ = -1;
  int ready_ = -1;
  std::filesystem::path log_;
};
bool is_installed(const std::string& program);

}  // namespace ribalta::ingest::testing
