// What Redis said about streams and videos, remembered by all workers in one block of shared memory. A table of fixed
// size: rows of eight entries, the oldest entry of a row makes room. No pointers inside, so that every process may map
// it elsewhere, and a process that is killed while it writes leaves at most one entry, which is then taken as empty.
//
// Nothing here locks: the caller holds the zone's mutex around each call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "edge/media_path.h"

namespace ribalta::edge {

inline constexpr std::size_t kAnswerCharsMax = 128;  ///< a socket path of 107 and its `unix:`; longer ones are not kept
/// How long an answer is used without asking again: deleting a video stops new playback within this plus one request.
inline constexpr std::uint64_t kKnownFreshMs = 5'000;
/// The same for "no such key" and for no answer: a stream that has just begun is found within a second.
inline constexpr std::uint64_t kUnknownFreshMs = 1'000;
/// A key that Redis no longer has (Redis restarted empty) counts as it was this long: owners write theirs again before.
inline constexpr std::uint64_t kVanishedKeptMs = 60'000;

/// Times are milliseconds of a clock that all workers share and that never goes back.
struct Answer {
  bool fresh = false;                ///< no need to ask
  std::optional<std::string> value;  ///< what is known, also when it is not fresh
  std::uint64_t generation = 0;      ///< of the last purge; 0: never purged
};

class AnswerTable {
 public:
  /// Lays an empty table out in `memory` (zeroed, aligned to 64), as large as fits. @return nullptr: too small.
  static AnswerTable* create(std::span<std::byte> memory);
  /// The table that an earlier process created there. @return nullptr: laid out by another version.
  static AnswerTable* adopt(void* memory);

  Answer find(MediaKind kind, std::string_view id, std::uint64_t now_ms);
  /// Redis answered: a value, or that there is no such key. `asked_ms`: when the question left; an answer to a question
  /// from before a purge is kept, but not as fresh.
  void store(MediaKind kind, std::string_view id, std::optional<std::string_view> value, std::uint64_t asked_ms,
             std::uint64_t now_ms);
  /// Redis did not answer: what was known stays, and is not asked for again at once.
  void store_unknown(MediaKind kind, std::string_view id, std::uint64_t now_ms);
  /// The next request asks again, and cached media of the tag are no longer found: their key has the new generation.
  void purge(MediaKind kind, std::string_view id, std::uint64_t generation, std::uint64_t now_ms);
  /// Everything is asked again: purges may have been missed.
  void expire_all(std::uint64_t now_ms);

  [[nodiscard]] std::size_t capacity() const { return rows_ * kRowEntries; }
  [[nodiscard]] std::size_t used() const;

 private:
  static constexpr std::size_t kRowEntries = 8;
  static constexpr std::uint64_t kLayout = 0x5249424100000001;  ///< changes with anything below

  struct Entry {
    std::uint8_t writing;  ///< 1 between the first and the last change: found as 1, the writer died
    std::uint8_t kind;     ///< 0: empty
    std::uint8_t has_value;
    std::uint8_t value_chars;
    std::array<char, 16> id;
    std::array<char, kAnswerCharsMax> value;
    std::uint64_t fresh_until_ms;
    std::uint64_t stored_ms;    ///< when fresh_until_ms was set
    std::uint64_t vanished_ms;  ///< since when Redis has no such key; 0: it has
    std::uint64_t purged_ms;
    std::uint64_t generation;
    std::uint64_t used_ms;
  };

  class Change;

  Entry* entries();
  std::span<Entry> row(MediaKind kind, std::string_view id);
  Entry* look_up(MediaKind kind, std::string_view id);
  Entry& look_up_or_make(MediaKind kind, std::string_view id, std::uint64_t now_ms);

  std::uint64_t layout_;
  std::uint64_t rows_;
  std::uint64_t expired_ms_;  ///< answers stored up to here are not fresh
  std::array<std::uint64_t, 5> reserved_;
};

/// What to do with a request once all is known that can be known.
enum class Verdict : std::uint8_t { go, forbidden, gone };
/// `access` as it stands in Redis (`public`, `token`, `gone`); unknown or anything else goes on to the origin, which
/// decides.
Verdict decide(const std::optional<std::string>& access, bool authorised);
/// `gone` stands where a video's access or a stream's origin would: it was taken down, whatever is still cached of it.
bool is_gone(const std::optional<std::string>& answer);

/// A tag of the purge channel: `video:{id}` or `stream:{id}`.
struct Tag {
  MediaKind kind = MediaKind::live;
  std::string_view id;
};
Result<Tag> parse_tag(std::string_view text);
std::string tag_text(const Tag& tag);
/// Of what an answer in the cache is, by its key (media_path.h). The id is a view into it. @error malformed: no key of
/// ours.
Result<Tag> tag_of_cache_key(std::string_view key);

}  // namespace ribalta::edge
