#include "control-plane/feed/newcomers.h"

#include <algorithm>
#include <bit>

namespace ribalta::feed {
namespace {

static_assert(kLikersMax % kLikersFirst == 0 && std::has_single_bit(kLikersMax / kLikersFirst));

}  // namespace

bool Newcomers::like(ItemIndex item, ViewerIndex viewer) {
  if (likers_.size() == kNewcomersMax && !likers_.contains(item)) return false;
  std::vector<ViewerIndex>& likers = likers_[item];
  if (likers.size() == kLikersMax || std::ranges::find(likers, viewer) != likers.end()) return false;
  likers.push_back(viewer);
  return likers.size() % kLikersFirst == 0 && std::has_single_bit(likers.size() / kLikersFirst);
}

}  // namespace ribalta::feed
