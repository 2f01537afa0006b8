#include "core/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <memory>

#include "core/units.h"

namespace ribalta {
namespace {

/// One value can't fill the disk: longer ones are cut, and say so.
constexpr std::size_t kLogValueBytesMax = 2'000;

struct Log {
  std::shared_ptr<spdlog::logger> logger;
  LogOptions options;
};

Log& process_log() {
  static Log log = [] {
    Log made;
    made.logger = std::make_shared<spdlog::logger>("ribalta", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.logger->set_pattern("%v");
    made.logger->set_level(spdlog::level::debug);
    return made;
  }();
  return log;
}

std::string quoted(std::string_view text) {
  const std::string_view kept = text.substr(0, kLogValueBytesMax);
  std::string out = boost::json::serialize(boost::json::string_view{kept.data(), kept.size()});
  if (kept.size() < text.size()) out.insert(out.size() - 1, "…");
  return out;
}

/// Bare where no reader can mistake it: no spaces, quotes, '=' or control characters.
std::string text_value(std::string_view text) {
  bool plain = !text.empty() && text.size() <= kLogValueBytesMax;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F) plain = false;
  }
  return plain ? std::string{text} : quoted(text);
}

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

}  // namespace

LogField::LogField(std::string_view name, const Error& error)
    : key(name), value(std::string{to_string(error.code)} + ": " + error.message) {}

void log_open(const LogOptions& options) { process_log().options = options; }

std::string log_line(const LogOptions& options, WallTime time, LogLevel level, std::string_view sentence,
                     std::initializer_list<LogField> fields) {
  std::string line;
  if (options.json) {
    line = R"({"time":")" + to_rfc3339(time) + R"(","level":")" + std::string{name_of(level)} + "\"";
    if (!options.role.empty()) line += ",\"role\":" + quoted(options.role);
    line += ",\"event\":" + quoted(sentence);
    for (const LogField& field : fields) {
      line += "," + quoted(field.key) + ":" + (field.raw ? field.value : quoted(field.value));
    }
    line += "}";
    return line;
  }
  line = to_rfc3339(time) + " " + std::string{name_of(level)};
  if (!options.role.empty()) line += " " + options.role;
  line += ": ";
  for (const char c : sentence) line.push_back(static_cast<unsigned char>(c) < ' ' ? ' ' : c);
  for (const LogField& field : fields) {
    line += " " + std::string{field.key} + "=" + (field.raw ? field.value : text_value(field.value));
  }
  return line;
}

void log_write(LogLevel level, std::string_view sentence, std::initializer_list<LogField> fields) {
  Log& log = process_log();
  if (level < log.options.level) return;
  const std::string line = log_line(log.options, wall_now(), level, sentence, fields);
  try {
    log.logger->log(spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
    if (level >= LogLevel::info) log.logger->flush();
  } catch (...) {  // NOLINT(bugprone-empty-catch): a log that can't be written must not end the work it tells of
  }
}

}  // namespace ribalta
