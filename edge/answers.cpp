#include "edge/answers.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <new>
#include <tuple>

#include "core/ids.h"

namespace ribalta::edge {
namespace {

/// FNV-1a: ids are random already, it only has to spread them.
std::uint64_t spread(MediaKind kind, std::string_view id) {
  std::uint64_t hash = 0xCBF29CE484222325;
  const auto mix = [&hash](unsigned char byte) { hash = (hash ^ byte) * 0x100000001B3; };
  mix(static_cast<unsigned char>(kind));
  for (const char c : id) mix(static_cast<unsigned char>(c));
  return hash ^ (hash >> 32);
}

}  // namespace

AnswerTable* AnswerTable::create(std::span<std::byte> memory) {
  static_assert(sizeof(AnswerTable) == 64 && alignof(Entry) <= 64);
  const std::size_t row_bytes = sizeof(Entry) * kRowEntries;
  if (memory.size() < sizeof(AnswerTable) + row_bytes) return nullptr;
  auto* table = new (memory.data()) AnswerTable{};
  table->rows_ = (memory.size() - sizeof(AnswerTable)) / row_bytes;
  Entry* first = table->entries();
  for (std::size_t i = 0; i < table->capacity(); ++i) new (first + i) Entry{};
  table->layout_ = kLayout;  // last: a table that was not finished is not adopted
  return table;
}

AnswerTable* AnswerTable::adopt(void* memory) {
  auto* table = static_cast<AnswerTable*>(memory);
  return table->layout_ == kLayout ? table : nullptr;
}

AnswerTable::Entry* AnswerTable::entries() { return reinterpret_cast<Entry*>(this + 1); }

std::span<AnswerTable::Entry> AnswerTable::row(MediaKind kind, std::string_view id) {
  return {entries() + (spread(kind, id) % rows_) * kRowEntries, kRowEntries};
}

/// Marks an entry as torn while it is being changed. The fences keep the compiler from moving stores out: what a killed
/// process had not done yet must be behind the mark.
class AnswerTable::Change {
 public:
  explicit Change(Entry& entry) : entry_(entry) {
    entry_.writing = 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Change() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    entry_.writing = 0;
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

 private:
  Entry& entry_;
};

AnswerTable::Entry* AnswerTable::look_up(MediaKind kind, std::string_view id) {
  assert(is_id(id));
  for (Entry& entry : row(kind, id)) {
    if (entry.writing == 0 && entry.kind == static_cast<std::uint8_t>(kind) &&
        std::string_view{entry.id.data(), entry.id.size()} == id) {
      return &entry;
    }
  }
  return nullptr;
}

AnswerTable::Entry& AnswerTable::look_up_or_make(MediaKind kind, std::string_view id, std::uint64_t now_ms) {
  if (Entry* found = look_up(kind, id)) {
    found->used_ms = now_ms;
    return *found;
  }
  // Empty and torn entries first, then what was never purged (losing a generation would bring old media back), then
  // what was used longest ago.
  const auto worth = [](const Entry& entry) {
    const bool empty = entry.kind == 0 || entry.writing != 0;
    return std::tuple{!empty, entry.generation != 0, entry.used_ms};
  };
  Entry& victim = *std::ranges::min_element(row(kind, id), {}, worth);
  const Change change{victim};
  victim = Entry{.writing = 1, .kind = static_cast<std::uint8_t>(kind), .used_ms = now_ms};
  id.copy(victim.id.data(), victim.id.size());
  return victim;
}

Answer AnswerTable::find(MediaKind kind, std::string_view id, std::uint64_t now_ms) {
  Entry* entry = look_up(kind, id);
  if (!entry) return {};
  entry->used_ms = now_ms;
  Answer answer{.fresh = now_ms < entry->fresh_until_ms && entry->stored_ms > expired_ms_,
                .value = std::nullopt,
                .generation = entry->generation};
  if (entry->has_value != 0 && entry->value_chars <= kAnswerCharsMax) {
    answer.value.emplace(entry->value.data(), entry->value_chars);
  }
  return answer;
}

void AnswerTable::store(MediaKind kind, std::string_view id, std::optional<std::string_view> value,
                        std::uint64_t asked_ms, std::uint64_t now_ms) {
  Entry& entry = look_up_or_make(kind, id, now_ms);
  const Change change{entry};
  if (value && value->size() <= kAnswerCharsMax) {
    value->copy(entry.value.data(), value->size());
    entry.value_chars = static_cast<std::uint8_t>(value->size());
    entry.has_value = 1;
    entry.vanished_ms = 0;
  } else if (value) {
    entry.has_value = 0;  // longer than any answer of ours: as good as none
  } else if (entry.has_value != 0) {
    if (entry.vanished_ms == 0) entry.vanished_ms = now_ms;
    if (now_ms - entry.vanished_ms > kVanishedKeptMs) {
      entry.has_value = 0;
      entry.vanished_ms = 0;
    }
  }
  const bool overtaken = entry.purged_ms != 0 && asked_ms <= entry.purged_ms;
  entry.fresh_until_ms = overtaken ? now_ms : now_ms + (value ? kKnownFreshMs : kUnknownFreshMs);
  entry.stored_ms = asked_ms;
}

void AnswerTable::store_unknown(MediaKind kind, std::string_view id, std::uint64_t now_ms) {
  Entry& entry = look_up_or_make(kind, id, now_ms);
  const Change change{entry};
  entry.fresh_until_ms = now_ms + kUnknownFreshMs;
  entry.stored_ms = now_ms;
}

void AnswerTable::purge(MediaKind kind, std::string_view id, std::uint64_t generation, std::uint64_t now_ms) {
  Entry& entry = look_up_or_make(kind, id, now_ms);
  const Change change{entry};
  entry.fresh_until_ms = 0;
  entry.purged_ms = now_ms;
  entry.generation = generation;
}

void AnswerTable::expire_all(std::uint64_t now_ms) { expired_ms_ = std::max(expired_ms_, now_ms); }

std::size_t AnswerTable::used() const {
  const auto* first = reinterpret_cast<const Entry*>(this + 1);
  return static_cast<std::size_t>(
      std::count_if(first, first + capacity(), [](const Entry& entry) { return entry.kind != 0; }));
}

Verdict decide(const std::optional<std::string>& access, bool authorised) {
  if (is_gone(access)) return Verdict::gone;
  if (access == "token" && !authorised) return Verdict::forbidden;
  return Verdict::go;
}

bool is_gone(const std::optional<std::string>& answer) { return answer == "gone"; }

Result<Tag> parse_tag(std::string_view text) {
  Tag tag;
  if (text.starts_with("stream:")) {
    tag = {.kind = MediaKind::live, .id = text.substr(7)};
  } else if (text.starts_with("video:")) {
    tag = {.kind = MediaKind::vod, .id = text.substr(6)};
  } else {
    return fail(Code::malformed, "tag: neither stream nor video");
  }
  if (!is_id(tag.id)) return fail(Code::malformed, "tag: not an id");
  return tag;
}

std::string tag_text(const Tag& tag) {
  return (tag.kind == MediaKind::live ? "stream:" : "video:") + std::string{tag.id};
}

Result<Tag> tag_of_cache_key(std::string_view key) {
  const std::size_t path = key.find('/');
  if (path == std::string_view::npos || path == 0 || key[path - 1] != '|') return fail(Code::malformed, "cache key");
  const Result<MediaTarget> target = parse_media_target(key.substr(path));
  if (!target) return fail(Code::malformed, "cache key: no media path");
  return Tag{.kind = target->kind, .id = target->id};
}

}  // namespace ribalta::edge
