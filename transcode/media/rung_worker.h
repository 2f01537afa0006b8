// A thread for each rung: pictures wait in a short queue, so that decoding and the encoders share the cores.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "core/result.h"
#include "transcode/media/av.h"
#include "transcode/media/track_output.h"

namespace ribalta::transcode {

/// Pictures that wait for one rung's encoder; when it is full, decoding waits. 8 pictures of 1080p are 25 MB.
inline constexpr std::size_t kPicturesWaitingMax = 8;

class RungWorker {
 public:
  /// The thread starts at once; `output` is used by it alone from here on.
  explicit RungWorker(VideoTrackOutput output);
  /// Drops what waits, and joins.
  ~RungWorker();
  RungWorker(const RungWorker&) = delete;
  RungWorker& operator=(const RungWorker&) = delete;

  /// Waits while the queue is full. @error the encoder's, once it has failed.
  Result<void> push(Frame picture, std::int64_t time, std::uint32_t duration, bool key);
  /// Waits until everything is encoded and written.
  Result<void> finish();

 private:
  struct Item {
    Frame picture;
    std::int64_t time;
    std::uint32_t duration;
    bool key;
  };
  void run();

  VideoTrackOutput output_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> waiting_;
  bool ended_ = false;    ///< no more will come
  bool dropped_ = false;  ///< nobody wants the rest
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace ribalta::transcode
