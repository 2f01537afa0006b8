// Who may play a video: `vod/{video}/access.json`, kept durably and read anew every other second.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "core/store/object_store.h"

namespace ribalta::packager {

/// `open` is "public" on the wire. A video that nobody decided about is played like `token`: drafts are not public.
enum class Access : std::uint8_t { open, token, gone };

std::string_view to_string(Access access);  ///< `public`, `token`, `gone`
/// `{"access":"public"}`. @error malformed.
Result<Access> parse_access(std::string_view json);
std::string write_access(Access access);

inline constexpr std::size_t kAccessBytesMax = 4096;
std::string access_key(std::string_view video);

/// @error io: not known; never a guess. Blocks.
Result<Access> load_access(const ObjectStore& store, std::string_view video);
Result<void> store_access(ObjectStore& store, std::string_view video, Access access);
/// Access becomes `gone`, which stays, and the video's other objects go. Blocks.
Result<void> remove_video(ObjectStore& store, std::string_view video);

}  // namespace ribalta::packager
