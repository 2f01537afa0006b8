#include "transcode/media/av.h"

#include <algorithm>
#include <cstdarg>
#include <mutex>

namespace ribalta::transcode {
namespace {

std::mutex log_mutex;
std::string log_text;

void keep_line(void* context, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_WARNING) return;
  char line[512];
  int print_prefix = 1;
  av_log_format_line2(context, level, format, arguments, line, sizeof line, &print_prefix);
  std::string text{line};
  // Names of codecs come from files: what is no plain character never reaches a log.
  std::ranges::replace_if(text, [](char c) { return c != '\n' && (c < ' ' || c > '~'); }, '?');
  const std::lock_guard lock{log_mutex};
  log_text += text;
  if (log_text.size() > 2 * kLogBytesMax) log_text.erase(0, log_text.size() - kLogBytesMax);
}

}  // namespace

void capture_log() {
  const std::lock_guard lock{log_mutex};
  log_text.clear();
  av_log_set_callback(keep_line);
}

std::string captured_log() {
  const std::lock_guard lock{log_mutex};
  return log_text.size() <= kLogBytesMax ? log_text : log_text.substr(log_text.size() - kLogBytesMax);
}

}  // namespace ribalta::transcode
