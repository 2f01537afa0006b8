// Public ids: 80 random bits as 16 lower-case characters (Crockford's base 32, no i, l, o, u), so that they can be read
// aloud, stand in a URL, a file name, a Redis key and SQL (TEXT) as they are, and tell nothing about how many there
// are.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ribalta {

inline constexpr std::size_t kIdChars = 16;

/// 16 random characters from the operating system's generator.
std::array<char, kIdChars> random_id();
/// True for exactly 16 characters of the alphabet.
bool is_id(std::string_view text);

/// An id that can't be mistaken for another kind of id, and can't hold anything but 16 good characters.
template <class Kind>
class Id {
 public:
  static Id random() { return Id{random_id()}; }
  /// @error malformed: not 16 characters of the alphabet.
  static Result<Id> parse(std::string_view text) {
    if (!is_id(text)) return fail(Code::malformed, "not an id");
    std::array<char, kIdChars> chars{};
    text.copy(chars.data(), kIdChars);
    return Id{chars};
  }
  [[nodiscard]] std::string_view view() const { return {chars_.data(), chars_.size()}; }
  [[nodiscard]] std::string text() const { return std::string{view()}; }
  auto operator<=>(const Id&) const = default;

 private:
  explicit Id(std::array<char, kIdChars> chars) : chars_(chars) {}
  std::array<char, kIdChars> chars_;
};

using UserId = Id<struct UserIdKind>;
using StreamId = Id<struct StreamIdKind>;  ///< public id of one live stream (one broadcast), not the secret stream key
using VideoId = Id<struct VideoIdKind>;
using UploadId = Id<struct UploadIdKind>;
using JobId = Id<struct JobIdKind>;
using NodeId = Id<struct NodeIdKind>;  ///< one running daemon; new at each start

/// Name of a track on the media bus: 1..32 of a-z, 0-9, '-', '_', beginning with a letter (`src-v`, `v720`, `a128`).
bool is_track_name(std::string_view text);

}  // namespace ribalta

template <class Kind>
struct std::hash<ribalta::Id<Kind>> {
  std::size_t operator()(const ribalta::Id<Kind>& id) const noexcept {
    return std::hash<std::string_view>{}(id.view());
  }
};
