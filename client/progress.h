// One line on a terminal that says how far something is; nothing where standard error is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ribalta::client {

std::string size_text(std::int64_t bytes);  ///< `12.3 MB`

class ProgressLine {
 public:
  explicit ProgressLine(std::string name);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void bytes(std::int64_t done, std::int64_t of, const std::string& waiting);
  void share(double part, const std::string& what);  ///< part: 0 to 1
  void clear();

 private:
  void draw(double part, const std::string& right);

  std::string name_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_{};
  std::int64_t first_bytes_ = -1;
};

}  // namespace ribalta::client
