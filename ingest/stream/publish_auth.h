// May this key publish, and as which stream? The control plane says so; while it is down, what it said before.
#pragma once

#include <cstdint>
#include <string>

#include "core/async.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/units.h"
#include "ingest/rooms.h"
#include "ingest/stream/key_memory.h"

namespace ribalta::ingest {

/// A control plane that does not answer is asked again for this long, within the publisher's own deadline of 10 s.
inline constexpr std::chrono::milliseconds kAskFor{3'000};

struct PublishGrant {
  StreamId stream = StreamId::random();
  Epoch epoch{1};
  std::string user;
  bool resumed = false;            ///< the stream is there already: go on from its head
  std::int64_t start_unix_ms = 0;  ///< when its time 0 was
  bool from_memory = false;        ///< the control plane was not there
};

/// What the memory allows when the control plane does not answer: the same stream with the next epoch within the grace
/// period, else a new one. Pure.
Result<PublishGrant> grant_from_memory(const std::optional<RememberedKey>& remembered, WallTime now);

/// Asks the control plane and keeps what it says in `memory`; asks the memory when nobody answers.
/// @error forbidden: with the sentence for the streamer (wrong key, busy, suspended); unavailable: nobody can tell.
Task<Result<PublishGrant>> ask_publish(const Rooms& rooms, KeyMemory& memory, std::string key, std::string address);

}  // namespace ribalta::ingest
