// tus 1.0 (https://tus.io/protocols/resumable-upload): one file to the upload door, gone on with after either side
// died. What is needed for that is kept in a small file of the state folder, named after the file's path, size and
// time.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "client/instance.h"
#include "core/result.h"

namespace ribalta::client {

struct UploadSettings {
  std::string title;  ///< empty: the server takes the file's name
  /// Tries in a row without a byte of progress, with pauses from `retry_first` doubling to `retry_max`: with these,
  /// about 5 minutes, in which a daemon comes back.
  int tries_max = 34;
  std::chrono::milliseconds retry_first{250};
  std::chrono::milliseconds retry_max{10'000};
};

/// Called with the bytes that stand, and while it waits with why.
using OnUploadProgress = std::function<void(std::int64_t bytes, std::int64_t of, const std::string& waiting)>;

/// Why an upload ended without a video that is being processed.
struct UploadRefused {
  Refusal refusal;
  std::string video;  ///< where there was one already
};

/// A whole file at the server; `forget` is called once its outcome is known, so that an interrupted wait can go on too.
class UploadedFile {
 public:
  UploadedFile(std::string video, std::filesystem::path state_file)
      : video_(std::move(video)), state_file_(std::move(state_file)) {}
  [[nodiscard]] const std::string& video() const { return video_; }
  void forget();

 private:
  std::string video_;
  std::filesystem::path state_file_;
};

std::expected<UploadedFile, UploadRefused> upload_file(const Instance& instance, const std::string& token,
                                                       const std::filesystem::path& file,
                                                       const UploadSettings& settings,
                                                       const OnUploadProgress& on_progress);

}  // namespace ribalta::client
