// JSON from strangers: what is read is written, and reads the same again.
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <cstdlib>

#include "core/json.h"

using namespace ribalta;

namespace {

enum class Kind { live, vod };
BOOST_DESCRIBE_ENUM(Kind, live, vod)

struct Item {
  std::string name;
  std::optional<std::int64_t> size;
  std::vector<double> numbers;
};
BOOST_DESCRIBE_STRUCT(Item, (), (name, size, numbers))

struct Document {
  Kind kind = Kind::live;
  std::int32_t count = 0;
  std::vector<Item> items;
  std::map<std::string, bool> flags;
};
BOOST_DESCRIBE_STRUCT(Document, (), (kind, count, items, flags))

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const Result<Document> read = json_read<Document>(text);
  static_cast<void>(json_read<Document>(text, JsonUnknown::ignore));
  if (!read) return 0;
  const std::string written = json_write(*read);
  const Result<Document> again = json_read<Document>(written);
  if (!again || json_write(*again) != written) std::abort();
  return 0;
}
