// A thread for each rung: pictures wait in a short queue, so that decoding and the encoders share the cores.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "core/result.h"
#include "transcode/media/av.h"
#include "transcode/media/timeline.h"

namespace ribalta::transcode {

/// Pictures that wait for one rung's encoder; when it is full, decoding waits. 8 pictures of 1080p are 25 MB.
inline constexpr std::size_t kPicturesWaitingMax = 8;

/// What a rung's pictures go into: encoder and track.
class PictureTarget {
 public:
  virtual ~PictureTarget() = default;
  virtual Result<void> push(const AVFrame& picture, const Showing& showing) = 0;
  /// Nothing came for a while: what is held back for no other reason goes out.
  virtual Result<void> idle() { return {}; }
  virtual Result<void> finish() = 0;
};

class RungWorker {
 public:
  /// The thread starts at once; `target` is used by it alone from here on.
  explicit RungWorker(std::unique_ptr<PictureTarget> target);
  /// Drops what waits, and joins.
  ~RungWorker();
  RungWorker(const RungWorker&) = delete;
  RungWorker& operator=(const RungWorker&) = delete;

  /// Waits while the queue is full. @error the encoder's, once it has failed.
  Result<void> push(Frame picture, const Showing& showing);
  Result<void> idle();
  /// Waits until everything is encoded and written.
  Result<void> finish();

 private:
  struct Item {
    Frame picture;  ///< none: idle
    Showing showing;
  };
  void run();

  std::unique_ptr<PictureTarget> target_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> waiting_;
  bool ended_ = false;    ///< no more will come
  bool dropped_ = false;  ///< nobody wants the rest
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace ribalta::transcode
