// What the stores share: ids as TEXT (empty for "none") and the answers of statements.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

/// An id that one of our own statements wrote.
template <class Kind>
Kind stored_id(std::string_view text) {
  const Result<Kind> id = Kind::parse(text);
  assert(id.has_value());
  return *id;
}
template <class Kind>
std::optional<Kind> stored_optional_id(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return stored_id<Kind>(text);
}
template <class Kind>
std::string text_of(const std::optional<Kind>& id) {
  return id ? id->text() : std::string{};
}

/// For statements whose count of rows says nothing.
inline Result<void> done(const Result<std::int64_t>& changed) {
  if (!changed) return pass(changed);
  return {};
}
/// For statements that change one row or none: whether it was there.
inline Result<bool> hit(const Result<std::int64_t>& changed) {
  if (!changed) return pass(changed);
  return *changed > 0;
}
/// For queries of one number.
inline Result<std::int64_t> number(const Result<std::optional<std::tuple<std::int64_t>>>& row) {
  if (!row) return pass(row);
  return *row ? std::get<0>(**row) : 0;
}

}  // namespace ribalta::control
