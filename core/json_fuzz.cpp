// JSON from strangers: what is read is written, and reads the same again.
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cmath>
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

/// Boost 1.81's parser does not round numbers of many digits correctly, so that a number may come back as its
/// neighbour; everything else must come back as it was. Takes the numbers out of `again` as it compares them.
bool about_equal(Document read, Document& again) {
  if (read.items.size() != again.items.size()) return false;
  for (std::size_t i = 0; i < read.items.size(); ++i) {
    std::vector<double>& left = read.items[i].numbers;
    std::vector<double>& right = again.items[i].numbers;
    if (left.size() != right.size()) return false;
    for (std::size_t k = 0; k < left.size(); ++k) {
      if (std::abs(left[k] - right[k]) > 1e-14 * std::abs(left[k])) return false;
    }
    left.clear();
    right.clear();
  }
  return json_write(read) == json_write(again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const Result<Document> read = json_read<Document>(text);
  static_cast<void>(json_read<Document>(text, JsonUnknown::ignore));
  if (!read) return 0;
  const std::string written = json_write(*read);
  Result<Document> again = json_read<Document>(written);
  if (!again || !about_equal(*read, *again)) std::abort();
  return 0;
}
