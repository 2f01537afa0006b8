// What a store may look like after a power cut or a full disk, and how a stream goes on from it all the same: numbers
// never go back, and a name never means two byte strings. Pure: what the store lists in, a record out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/units.h"
#include "packager/live/record.h"

namespace ribalta::packager {

/// Objects of one stream in the store, and their sizes.
using StoredObjects = std::map<std::string, std::uint64_t, std::less<>>;

/// Segments are not durable: after a power cut their files may be empty, cut or gone. Those become gaps.
/// @return how many.
std::size_t demote_torn(StreamRecord& record, const StoredObjects& objects);

/// How far a stream was announced while its record could not be written. It stands in the name of an empty object, for
/// which a full disk still has room.
struct AnnouncedNote {
  std::int64_t msn = 0;
  std::int64_t period = 0;
  MediaTime end;  ///< where the media of that segment end
};
/// Of the record that could not be written. @return nothing: none of its segments is announced.
std::optional<AnnouncedNote> note_of(const StreamRecord& record);
std::string note_key(std::string_view stream, const AnnouncedNote& note);
/// The newest of those in the store, with its key.
std::optional<std::pair<std::string, AnnouncedNote>> find_note(std::string_view stream, const StoredObjects& objects);

/// Gaps in all tracks from where the record ends to where the note says that the stream was: what players were told of
/// them is lost, that they were there is not. @return whether the record did not know.
bool extend_to(StreamRecord& record, const AnnouncedNote& note);

}  // namespace ribalta::packager
