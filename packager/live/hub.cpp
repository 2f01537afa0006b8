#include "packager/live/hub.h"

#include <algorithm>
#include <map>

#include "core/log.h"
#include "packager/live/run_on.h"

namespace ribalta::packager {

Hub::Hub(Node& node, LiveSettings settings)
    : node_(node),
      context_(*node.store, settings, node.metrics),
      address_("unix:" + (node.config.run / "packager.sock").string()) {
  for (std::size_t i = 0; i < node.loops->size(); ++i) shards_.push_back(std::make_unique<Shard>(node.loops->loop(i)));
}

Hub::Shard& Hub::shard_of(const StreamId& id) { return *shards_[std::hash<StreamId>{}(id) % shards_.size()]; }

asio::any_io_executor Hub::loop_of(const StreamId& id) const {
  return shards_[std::hash<StreamId>{}(id) % shards_.size()]->loop;
}

Result<void> Hub::restore() {
  const Result<std::vector<ObjectInfo>> objects = node_.store->list("live/");
  if (!objects) return objects.error().in("list live streams");
  std::map<std::string, StoredObjects> streams;
  for (const ObjectInfo& object : *objects) {
    const std::string_view rest = std::string_view{object.key}.substr(std::string_view{"live/"}.size());
    streams[std::string{rest.substr(0, rest.find('/'))}].emplace(object.key, object.bytes);
  }
  for (const auto& [name, stored] : streams) {
    const Result<StreamId> id = StreamId::parse(name);
    if (!id || (!stored.contains(record_key(name)) && !find_note(name, stored))) continue;  // nothing was announced
    const Result<void> restored = restore_stream(*id, stored);
    if (restored) continue;
    // Players were told numbers that nobody knows any more: begun anew, they would go back.
    log_error("a live stream can't be restored: it has ended", {{"stream", name}, {"error", restored.error()}});
    note_removed(shard_of(*id), *id);
  }
  return {};
}

Result<void> Hub::restore_stream(const StreamId& id, const StoredObjects& objects) {
  const std::string key = record_key(id.view());
  const Result<Bytes> bytes = node_.store->get(key, kLiveRecordBytesMax);
  if (!bytes) return pass(bytes);
  Result<StreamRecord> record = parse_record(as_text(*bytes));
  if (!record) return pass(record);
  if (record->stream != id.view()) return fail(Code::malformed, "record of another stream");
  std::string note;
  if (const auto found = find_note(id.view(), objects)) {
    if (extend_to(*record, found->second)) {
      note = found->first;
      log_warning("a live stream's record is older than its end: what is missing is shown as gaps",
                  {{"stream", id.view()}, {"announced", record->announced}});
    } else if (const Result<void> removed = node_.store->remove(found->first); !removed) {
      return removed;  // it was written again, and says more
    }
  }
  const std::size_t torn = demote_torn(*record, objects);
  if (torn > 0) log_warning("live segments are missing or cut: gaps", {{"stream", id.view()}, {"segments", torn}});
  auto stream = std::make_shared<LiveStream>(id, loop_of(id), context_);
  if (auto restored = stream->restore(*record, note); !restored) return restored;
  shard_of(id).streams.emplace(id, stream);
  streams_.fetch_add(1);
  stream->start();
  log_info("live stream restored", {{"stream", id.view()}, {"announced", record->announced}, {"ended", record->ended}});
  return {};
}

void Hub::start() {
  if (node_.redis) node_.redis->on_connected([this] { redis_connections_.fetch_add(1); });
  // Begun again after an exception: the streams are the shard's.
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    spawn_essential(shards_[i]->loop, "packager housekeeping", [this, i] { return housekeeping(i); });
  }
}

Task<void> Hub::housekeeping(std::size_t index) {
  Shard& shard = *shards_[index];
  std::uint64_t told_connections = 0;
  Instant told{};
  while (!draining_) {
    co_await sleep_for(kTick);
    const Instant now = std::chrono::steady_clock::now();
    std::vector<StreamId> expired;
    for (const auto& [id, stream] : shard.streams) {
      stream->tick(now);
      if (stream->expired(now)) expired.push_back(id);
    }
    for (const StreamId& id : expired) {
      const Result<void> removed = co_await remove(id);
      if (removed) log_info("ended stream removed", {{"stream", id.view()}});
      if (!removed) log_warning("objects of a stream stay behind", {{"stream", id.view()}, {"error", removed.error()}});
    }
    const std::uint64_t connections = redis_connections_.load();
    if (connections != told_connections || now - told >= kOriginRenewal) {
      told_connections = connections;
      told = now;
      for (const auto& [id, stream] : shard.streams) set_origin(id);
    }
    context_.metrics.streams.set(static_cast<double>(streams_.load()));
  }
}

Task<void> Hub::drain(std::chrono::milliseconds deadline) {
  draining_ = true;
  for (const auto& shard : shards_) {
    const auto settle_all = [](Shard& on, std::chrono::milliseconds limit) -> Task<bool> {
      std::vector<std::shared_ptr<LiveStream>> streams;
      streams.reserve(on.streams.size());
      for (const auto& [id, stream] : on.streams) streams.push_back(stream);
      for (const auto& stream : streams) stream->send_writers_away();
      for (const auto& stream : streams) co_await stream->settle(limit);
      co_return true;
    };
    Task<bool> settling = settle_all(*shard, deadline);
    co_await run_task_on<bool>(shard->loop, std::move(settling));
  }
}

std::shared_ptr<LiveStream> Hub::find(const StreamId& id) {
  Shard& shard = shard_of(id);
  const auto found = shard.streams.find(id);
  return found == shard.streams.end() ? nullptr : found->second;
}

bool Hub::was_removed(const StreamId& id) { return shard_of(id).removed.contains(id); }

Result<std::shared_ptr<LiveStream>> Hub::find_or_create(const StreamId& id) {
  if (std::shared_ptr<LiveStream> stream = find(id)) return stream;
  if (was_removed(id)) return fail(Code::closed, "the stream has ended");
  if (streams_.load() >= context_.settings.streams_max) return fail(Code::limit, "live streams:", streams_.load());
  auto stream = std::make_shared<LiveStream>(id, loop_of(id), context_);
  stream->start();
  Shard& shard = shard_of(id);
  shard.streams.emplace(id, stream);
  streams_.fetch_add(1);
  shard.changed.notify_all();
  set_origin(id);
  log_info("live stream begins", {{"stream", id.view()}});
  return stream;
}

void Hub::note_removed(Shard& shard, const StreamId& id) {
  if (!shard.removed.insert(id).second) return;
  shard.removed_order.push_back(id);
  if (shard.removed_order.size() <= kRemovedIdsMax) return;
  shard.removed.erase(shard.removed_order.front());
  shard.removed_order.pop_front();
}

Task<Result<void>> Hub::remove(StreamId id) {
  Shard& shard = shard_of(id);
  const std::shared_ptr<LiveStream> stream = find(id);
  note_removed(shard, id);
  tell_gone(id);  // first: an edge that asks for its media again must not be sent here
  if (stream) {
    shard.streams.erase(id);
    streams_.fetch_sub(1);
    co_await stream->remove();
  }
  // Not only of a stream that is known here: a removal that a kill or a disk cut short is asked for again.
  ObjectStore* store = &context_.store;
  auto work = [store, prefix = "live/" + id.text() + "/"] { return store->remove_all(prefix); };
  co_return co_await run_blocking<Lane::background>(std::move(work));
}

Task<std::shared_ptr<LiveStream>> Hub::await(StreamId id, std::chrono::milliseconds limit) {
  Shard& shard = shard_of(id);
  const std::uint64_t seen = shard.changed.version();
  std::shared_ptr<LiveStream> stream = find(id);
  if (!stream) {
    co_await shard.changed.wait(seen, limit);
    stream = find(id);
  }
  co_return stream;
}

Task<void> Hub::redis_command(std::shared_ptr<redis::Client> client, std::vector<std::string> arguments) {
  // Redis may be away: the edge then goes on with what it knows, and a reconnect tells all origins again.
  const Result<redis::Reply> reply = co_await client->command(std::move(arguments));
  if (!reply) log_debug("origin is not told to Redis", {{"error", reply.error()}});
}

void Hub::set_origin(const StreamId& id) {
  if (!node_.redis) return;
  std::vector<std::string> arguments{"SET", "stream:" + id.text() + ":origin", address_, "EX",
                                     std::to_string(kOriginLifetime.count())};
  spawn(node_.loops->loop(0), "packager origin", redis_command(node_.redis, std::move(arguments)));
}

void Hub::tell_gone(const StreamId& id) {
  if (!node_.redis) return;
  const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(kGoneLifetime);
  std::vector<std::string> arguments{"SET", "stream:" + id.text() + ":origin", std::string{kOriginGone}, "EX",
                                     std::to_string(lifetime.count())};
  spawn(node_.loops->loop(0), "packager origin", redis_command(node_.redis, std::move(arguments)));
}

}  // namespace ribalta::packager
