#include "packager/vod/vod_access.h"

#include <boost/describe/class.hpp>

#include "core/json.h"

namespace ribalta::packager {
namespace {

struct AccessRecord {
  std::string access;
};
BOOST_DESCRIBE_STRUCT(AccessRecord, (), (access))

}  // namespace

std::string_view to_string(Access access) {
  switch (access) {
    case Access::open:
      return "public";
    case Access::token:
      return "token";
    case Access::gone:
      return "gone";
  }
  return "gone";
}

Result<Access> parse_access(std::string_view json) {
  const auto record = json_read<AccessRecord>(json);
  if (!record) return pass(record);
  for (const Access access : {Access::open, Access::token, Access::gone}) {
    if (record->access == to_string(access)) return access;
  }
  return fail(Code::malformed, "$.access: not one of public, token, gone");
}

std::string write_access(Access access) { return json_write(AccessRecord{std::string{to_string(access)}}); }

std::string access_key(std::string_view video) { return "vod/" + std::string{video} + "/access.json"; }

Result<Access> load_access(const ObjectStore& store, std::string_view video) {
  const auto json = store.get(access_key(video), kAccessBytesMax);
  if (!json) {
    if (json.error().code == Code::not_found) return Access::token;
    return pass(json);
  }
  const auto access = parse_access(as_text(*json));
  if (!access) return access.error().in(access_key(video));
  return access;
}

Result<void> store_access(ObjectStore& store, std::string_view video, Access access) {
  return store.put_durable(access_key(video), as_bytes(write_access(access)));
}

Result<void> remove_video(ObjectStore& store, std::string_view video) {
  if (const auto stored = store_access(store, video, Access::gone); !stored) return stored;
  const auto objects = store.list("vod/" + std::string{video} + "/");
  if (!objects) return pass(objects);
  for (const ObjectInfo& object : *objects) {
    if (object.key == access_key(video)) continue;
    if (const auto removed = store.remove(object.key); !removed) return removed;
  }
  return {};
}

}  // namespace ribalta::packager
