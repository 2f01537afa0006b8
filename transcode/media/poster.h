// One picture that stands for a video: of the frames that are offered, the one in which there is most to see.
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "core/result.h"
#include "transcode/media/av.h"

namespace ribalta::transcode {

class PosterChooser {
 public:
  /// Looks at a frame (8-bit 4:2:0) now and then in the video's first seconds, and keeps the best.
  void offer(const AVFrame& frame, std::int64_t time);
  /// JPEG. @error not_found: no frame was offered.
  [[nodiscard]] Result<Bytes> jpeg() const;

 private:
  Frame best_;
  double best_score_ = -1;
  std::int64_t next_time_ = 0;
};

}  // namespace ribalta::transcode
