// One line an event: a sentence, then key=value pairs. Text for people, JSON for machines ([log] format).
//   log_info("publish accepted", {{"stream", stream.view()}, {"epoch", epoch.value}});
// An error is logged once, by whoever decides what happens because of it. Stream keys, passwords, tokens and payout
// details never reach a log: log the public id.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/units.h"

namespace ribalta {

struct LogField {
  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  LogField(std::string_view name, const char* text) : key(name), value(text) {}
  LogField(std::string_view name, const std::string& text) : key(name), value(text) {}
  LogField(std::string_view name, bool flag) : key(name), value(flag ? "true" : "false"), raw(true) {}
  LogField(std::string_view name, const Error& error);
  template <class N>
    requires(std::integral<N> || std::floating_point<N>)
  LogField(std::string_view name, N number) : key(name), value(std::to_string(number)), raw(true) {}

  std::string_view key;
  std::string value;
  bool raw = false;  ///< a number or a boolean: no quotes in JSON
};

enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct LogOptions {
  std::string role;  ///< `ingest`, `packager`, …: stands in every line
  LogLevel level = LogLevel::info;
  bool json = false;  ///< one JSON object a line
};

/// Sets up the process's log (standard error, which the supervisor rotates). Called once, before threads start.
void log_open(const LogOptions& options);
void log_write(LogLevel level, std::string_view sentence, std::initializer_list<LogField> fields);
/// The line that log_write writes, without its end.
std::string log_line(const LogOptions& options, WallTime time, LogLevel level, std::string_view sentence,
                     std::initializer_list<LogField> fields);

inline void log_debug(std::string_view sentence, std::initializer_list<LogField> fields = {}) {
  log_write(LogLevel::debug, sentence, fields);
}
inline void log_info(std::string_view sentence, std::initializer_list<LogField> fields = {}) {
  log_write(LogLevel::info, sentence, fields);
}
inline void log_warning(std::string_view sentence, std::initializer_list<LogField> fields = {}) {
  log_write(LogLevel::warning, sentence, fields);
}
inline void log_error(std::string_view sentence, std::initializer_list<LogField> fields = {}) {
  log_write(LogLevel::error, sentence, fields);
}

}  // namespace ribalta
