// A ladder plan from the wire: whatever the bytes, it is refused or everything in it may stand in a playlist.
#include <cstdlib>

#include "core/json.h"
#include "packager/live/manifests.h"
#include "packager/live/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ribalta;
  using namespace ribalta::packager;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const Result<media::LadderPlan> plan = parse_plan(text, "0123456789abcdef");
  if (!plan) return 0;
  const std::string playlist = live_multivariant(*plan);
  std::size_t lines = 0;
  for (const char c : playlist) lines += c == '\n' ? 1 : 0;
  const std::size_t audio = plan->video.empty() ? 2 * plan->audio.size() : plan->audio.size();
  if (lines != 3 + 2 * plan->video.size() + audio) std::abort();  // a value brought a line of its own
  const Result<media::LadderPlan> again = parse_plan(json_write(*plan), "0123456789abcdef");
  if (!again || *again != *plan) std::abort();
  return 0;
}
