// From a decoded frame to one picture for each rung: deinterlaced, upright, square pixels, BT.709 SDR in 8-bit 4:2:0,
// scaled in a cascade from the largest rung to the smallest.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/media/ladder.h"
#include "core/result.h"
#include "transcode/media/acceptance.h"
#include "transcode/media/av.h"

namespace ribalta::transcode {

/// The same moment in every rung.
struct PictureSet {
  std::int64_t time = 0;     ///< 90 kHz
  std::vector<Frame> rungs;  ///< as many as the ladder has, highest first
};

class VideoGraph {
 public:
  using OnPictures = std::function<Result<void>(PictureSet pictures)>;

  struct Options {
    std::vector<media::LadderVideo> rungs;  ///< highest first, none of them passed through
    Orientation orientation;
    bool deinterlace = false;
  };
  explicit VideoGraph(Options options) : options_(std::move(options)) {}

  /// Takes a frame whose pts counts in 90 kHz. A frame of another size, format or colour begins a new graph.
  /// @error malformed: libavfilter refuses the frame.
  Result<void> push(Frame frame, const OnPictures& on_pictures);
  /// Gives out what is still inside.
  Result<void> finish(const OnPictures& on_pictures);

 private:
  struct Format {
    int width = 0;
    int height = 0;
    int pixel = -1;
    int matrix = 0;
    int transfer = 0;
    int range = 0;
    bool operator==(const Format&) const = default;
  };
  Result<void> build(const AVFrame& frame);
  Result<void> drain(const OnPictures& on_pictures);
  [[nodiscard]] std::string description(const AVFrame& frame) const;

  Options options_;
  Format format_;
  FilterGraph graph_;
  AVFilterContext* source_ = nullptr;
  std::vector<AVFilterContext*> sinks_;
};

}  // namespace ribalta::transcode
