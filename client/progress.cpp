#include "client/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace ribalta::client {
namespace {

constexpr std::chrono::milliseconds kDrawEvery{100};
constexpr std::size_t kNameMax = 28;

std::size_t columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

std::string shortened(const std::string& name) {
  if (name.size() <= kNameMax) return name + std::string(kNameMax - name.size(), ' ');
  return "…" + name.substr(name.size() - (kNameMax - 1));
}

}  // namespace

std::string size_text(std::int64_t bytes) {
  constexpr std::array<const char*, 5> units{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text.data();
}

ProgressLine::ProgressLine(std::string name) : name_(std::move(name)), terminal_(::isatty(STDERR_FILENO) == 1) {
  for (char& c : name_) {  // a file's name may hold what moves a terminal's cursor
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) c = '?';
  }
}

void ProgressLine::bytes(std::int64_t done, std::int64_t of, const std::string& waiting) {
  if (!terminal_) return;
  if (first_bytes_ < 0) first_bytes_ = done;
  const auto now = std::chrono::steady_clock::now();
  if (waiting.empty() && done < of && now - last_ < kDrawEvery) return;
  last_ = now;
  std::string right = size_text(done) + " / " + size_text(of);
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  if (!waiting.empty()) {
    right += "  waiting: " + waiting;
  } else if (seconds > 0.5 && done > first_bytes_) {
    right += "  " + size_text(static_cast<std::int64_t>(static_cast<double>(done - first_bytes_) / seconds)) + "/s";
  }
  draw(of > 0 ? static_cast<double>(done) / static_cast<double>(of) : 1.0, right);
}

void ProgressLine::share(double part, const std::string& what) {
  if (terminal_) draw(part, what);
}

void ProgressLine::draw(double part, const std::string& right) {
  constexpr std::size_t bar = 24;
  const double bounded = std::clamp(part, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(bounded * static_cast<double>(bar));
  std::array<char, 8> percent{};
  std::snprintf(percent.data(), percent.size(), "%3.0f%%", bounded * 100);
  std::string line =
      shortened(name_) + " [" + std::string(full, '#') + std::string(bar - full, '.') + "] " + percent.data() + "  ";
  line += right;
  std::fprintf(stderr, "\r\033[2K%s", line.substr(0, columns() - 1).c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressLine::clear() {
  if (!drawn_) return;
  std::fputs("\r\033[2K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace ribalta::client
