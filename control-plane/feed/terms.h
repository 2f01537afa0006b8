// What the feed is told and what it answers: items, what viewers did with them, and ranked items with their reasons.
#pragma once

#include <boost/describe/enum.hpp>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ribalta::feed {

/// 64 bits that the catalogue gave out. 0 is nobody and nothing.
template <class Kind>
struct Id {
  std::uint64_t value = 0;
  auto operator<=>(const Id&) const = default;
};
/// Viewers and authors are the same people.
using UserId = Id<struct UserKind>;
using ItemId = Id<struct ItemKind>;
using TopicId = Id<struct TopicKind>;

enum class Action : std::uint8_t {
  impression,  ///< it was on the screen; alone it says nothing of liking
  view,        ///< watched for a while: `watched` says how much
  complete,    ///< watched to its end, or more than once
  like,
  share,
  follow,  ///< followed the author from this item
  skip,    ///< left at once
  report,
  not_interested,  ///< asked not to see such: the item never again, the author and topics less
};
BOOST_DESCRIBE_ENUM(Action, impression, view, complete, like, share, follow, skip, report, not_interested)

/// One thing that a viewer did with an item.
struct Event {
  UserId viewer;
  ItemId item;
  Action action = Action::impression;
  float watched = 0;  ///< share of the item's duration; over 1: more than once
  std::int64_t time_ms = 0;
};

/// For whom an item is fit; each viewer is shown what is at most theirs.
enum class AgeRating : std::uint8_t { everyone, teenagers, adults };
BOOST_DESCRIBE_ENUM(AgeRating, everyone, teenagers, adults)

/// Topics of an item that count; further ones are left out.
inline constexpr std::size_t kTopicsMax = 4;

struct Item {
  ItemId id;
  UserId author;
  std::vector<TopicId> topics;
  std::int64_t duration_ms = 0;
  std::int64_t published_ms = 0;
  std::string language;  ///< "it", "en"…; empty: unknown, or none is spoken
  AgeRating rating = AgeRating::everyone;
  bool visible = true;           ///< false: removed, private, under review
  std::vector<float> embedding;  ///< of what is in it; empty: unknown
};

/// How much one thing moved a score, by a name that people can be told.
struct Term {
  std::string_view name;  ///< of the source that it came from, or author, topic, duration, …: lives as long as the feed
  float amount = 0;
  bool operator==(const Term&) const = default;
};

}  // namespace ribalta::feed

template <class Kind>
struct std::hash<ribalta::feed::Id<Kind>> {
  std::size_t operator()(const ribalta::feed::Id<Kind>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value * 0x9e3779b97f4a7c15);
  }
};
