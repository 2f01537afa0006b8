#include <boost/asio/post.hpp>
#include <charconv>
#include <optional>

#include "core/internal_auth.h"
#include "core/json.h"
#include "core/log.h"
#include "packager/live/plan.h"
#include "packager/live/routes.h"
#include "packager/live/run_on.h"

namespace ribalta::packager {
namespace {

using http::Exchange;
using http::Response;
using Parameters = http::Router::Parameters;

/// Live chunks and init segments are smaller than what files may hold: larger ones never reach memory whole.
constexpr media::BoxLimits kBusBoxLimits{.init_bytes_max = kInitBytesMax, .mdat_bytes_max = kLiveChunkBytesMax};

/// A client's silence that a reader of a track is checked for.
constexpr std::chrono::milliseconds kReadSlice{1'000};

constexpr std::size_t kTogetherBytes = 32 * 1024;

Response answer_of(const Error& error) {
  switch (error.code) {
    case Code::conflict:
      return Response::error(409, "conflict", error.message);
    case Code::closed:
      return Response::error(410, "ended", error.message);
    case Code::limit:
      return Response::error(413, "limit", error.message);
    case Code::malformed:
    case Code::unsupported:
      return Response::error(400, "malformed", error.message);
    case Code::not_found:
      return Response::error(404, "not_found", error.message);
    default:
      return Response::error(503, "unavailable", error.message);
  }
}

struct TrackPath {
  StreamId stream;
  std::string track;
};
Result<TrackPath> track_path(const Parameters& parameters) {
  const Result<StreamId> stream = StreamId::parse(http::parameter(parameters, "stream"));
  if (!stream) return fail(Code::not_found, "no such stream");
  const std::string_view track = http::parameter(parameters, "track");
  if (!is_track_name(track)) return fail(Code::malformed, "not a track's name");
  return TrackPath{*stream, std::string{track}};
}

Result<Epoch> epoch_of(const http::RequestHead& head) {
  const std::string_view text = head.fields.get("Ribalta-Epoch");
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr std::int64_t kEpochMax = std::int64_t{1} << 53;
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > kEpochMax) {
    return fail(Code::malformed, "Ribalta-Epoch: a number from 1 is needed");
  }
  return Epoch{value};
}

/// One PUT on its connection's loop. Another writer's PUT, or the stream's end, may answer it while it waits for its
/// body.
struct PutConnection {
  explicit PutConnection(Exchange& on) : exchange(&on), loop(on.loop()), answered(on.loop()) {}
  Exchange* exchange;  ///< null once the handler has returned
  asio::any_io_executor loop;
  bool finishing = false;
  bool answering = false;
  Event answered;
};

Task<void> answer_from_outside(std::shared_ptr<PutConnection> connection, Error why) {
  const AtEnd said{[connection] {  // the handler waits for it
    connection->answering = false;
    connection->answered.notify_all();
  }};
  Response response = answer_of(why);
  const Result<void> sent = co_await connection->exchange->respond(std::move(response));
  if (!sent) connection->exchange->cut();
}

std::function<void(const Error&)> cut_from_outside(const std::shared_ptr<PutConnection>& connection) {
  return [connection](const Error& why) {
    asio::post(connection->loop, [connection, why] {
      if (connection->exchange == nullptr || connection->finishing || connection->answering) return;
      connection->finishing = true;
      connection->answering = true;
      spawn(connection->loop, "packager cuts a writer", answer_from_outside(connection, why));
    });
  };
}

/// Reads the body to its end, or to the first thing that is wrong with it.
Task<Result<void>> take_body(Exchange& exchange, std::shared_ptr<LiveStream> stream, std::shared_ptr<Writer> writer) {
  media::CmafReader reader{kBusBoxLimits};
  std::vector<media::CmafItem> items;
  for (;;) {
    const Result<ByteSpan> piece = co_await exchange.read_some();
    if (!piece) co_return fail(Code::unavailable, piece.error().message);
    if (piece->empty()) co_return reader.finish();
    reader.feed(*piece);
    items.clear();
    std::optional<Error> broken;
    for (;;) {
      Result<std::optional<media::CmafItem>> item = reader.next();
      if (!item) broken = item.error();
      if (!item || !*item) break;
      items.push_back(std::move(**item));
    }
    if (!items.empty()) {
      auto put = [&stream, &writer, &items] { return stream->put(*writer, items); };
      const Result<void> taken = co_await run_on(stream->loop(), std::move(put));
      if (!taken) co_return taken;
    }
    if (broken) co_return std::unexpected<Error>{*broken};
  }
}

Task<void> put_track(Exchange& exchange, Hub& hub, TrackPath path) {
  const Result<Epoch> epoch = epoch_of(exchange.head());
  if (!epoch) {
    Response refused = answer_of(epoch.error());
    co_await exchange.respond(std::move(refused));
    co_return;
  }
  const bool source = exchange.head().fields.get("Ribalta-Source") == "1";
  const auto connection = std::make_shared<PutConnection>(exchange);
  const AtEnd gone{[connection] { connection->exchange = nullptr; }};
  struct Begun {
    std::shared_ptr<LiveStream> stream;
    std::shared_ptr<Writer> writer;
  };
  auto begin = [&hub, &path, &connection, epoch = *epoch, source]() -> Result<Begun> {
    Result<std::shared_ptr<LiveStream>> stream = hub.find_or_create(path.stream);
    if (!stream) return pass(stream);
    auto writer = (*stream)->begin_put(path.track, epoch, source, cut_from_outside(connection));
    if (!writer) return pass(writer);
    return Begun{*stream, *writer};
  };
  const Result<Begun> begun = co_await run_on(hub.loop_of(path.stream), std::move(begin));
  Result<void> taken;
  if (begun) {
    // Posted, not awaited: it is said also where the body's end is an exception, or the connection's is a cut.
    const AtEnd over{[stream = begun->stream, writer = begun->writer] {
      asio::post(stream->loop(), [stream, writer] { stream->end_put(writer); });
    }};
    try {
      taken = co_await take_body(exchange, begun->stream, begun->writer);
    } catch (const std::exception& exception) {
      log_error("a track's body ended by an exception", {{"track", path.track}, {"what", exception.what()}});
      taken = fail(Code::internal, "something went wrong on our side");
    }
  } else {
    taken = pass(begun);
  }
  if (!connection->finishing) {
    connection->finishing = true;
    if (!taken) {
      log_info("track writer is cut",
               {{"stream", path.stream.view()}, {"track", path.track}, {"error", taken.error()}});
    }
    Response response = taken ? Response::text(200, "ok\n") : answer_of(taken.error());
    co_await exchange.respond(std::move(response));
  }
  while (connection->answering) {
    const std::uint64_t seen = connection->answered.version();
    co_await connection->answered.wait(seen, std::chrono::seconds{1});
  }
}

struct HeadAnswer {
  std::int64_t epoch = 0;
  std::int64_t decode_time = 0;
  std::int64_t decode_time_durable = 0;
  std::int64_t timescale = 0;
};
BOOST_DESCRIBE_STRUCT(HeadAnswer, (), (epoch, decode_time, decode_time_durable, timescale))

Task<void> get_head(Exchange& exchange, Hub& hub, TrackPath path) {
  auto look = [&hub, &path]() -> Result<HeadAnswer> {
    const std::shared_ptr<LiveStream> stream = hub.find(path.stream);
    if (!stream && hub.was_removed(path.stream)) return fail(Code::closed, "the stream has ended");
    const std::optional<Head> head = stream ? stream->head(path.track) : std::nullopt;
    if (!head) return fail(Code::not_found, "no such track");
    return HeadAnswer{head->epoch.value, head->decode_time, head->decode_time_durable, head->timescale};
  };
  const Result<HeadAnswer> head = co_await run_on(hub.loop_of(path.stream), std::move(look));
  Response response = head ? Response::json(200, json_write(*head)) : answer_of(head.error());
  co_await exchange.respond(std::move(response));
}

Task<LiveStream::Read> read_or_wait(Hub& hub, StreamId id, std::string track, TrackBuffer::Cursor cursor) {
  const std::shared_ptr<LiveStream> stream = co_await hub.await(id, kReadSlice);
  LiveStream::Read read;
  read.cursor = cursor;
  if (!stream) {
    read.end = hub.was_removed(id);
    co_return read;
  }
  read = co_await stream->read(std::move(track), cursor, kReadSlice);
  co_return read;
}

/// Pieces that are small go in one write, up to kTogetherBytes: a reader that caught up has little, one in a burst
/// much. @return false: the connection is gone.
Task<bool> write_together(Exchange& exchange, const std::vector<SharedBytes>& pieces) {
  for (std::size_t next = 0; next < pieces.size();) {
    const Bytes& first = *pieces[next++];
    Bytes gathered;
    for (std::size_t bytes = first.size(); next < pieces.size(); ++next) {
      bytes += pieces[next]->size();
      if (bytes > kTogetherBytes) break;
      if (gathered.empty()) gathered = first;
      gathered.insert(gathered.end(), pieces[next]->begin(), pieces[next]->end());
    }
    const ByteSpan piece = gathered.empty() ? ByteSpan{first} : ByteSpan{gathered};
    const Result<void> written = co_await exchange.write(piece);
    if (!written) co_return false;
  }
  co_return true;
}

Task<void> get_track(Exchange& exchange, Hub& hub, TrackPath path) {
  const std::string from = exchange.head().query_value("from");
  if (!from.empty() && from != "live" && from != "start") {
    Response refused = Response::error(400, "malformed", "from: live or start");
    co_await exchange.respond(std::move(refused));
    co_return;
  }
  TrackBuffer::Cursor cursor;
  cursor.from_start = from == "start";
  const asio::any_io_executor loop = hub.loop_of(path.stream);
  const auto until = std::chrono::steady_clock::now() + kTrackWait;
  bool started = false;
  while (!hub.draining() && !exchange.client_gone()) {
    Task<LiveStream::Read> next = read_or_wait(hub, path.stream, path.track, cursor);
    const LiveStream::Read read = co_await run_task_on<LiveStream::Read>(loop, std::move(next));
    cursor = read.cursor;
    if (!read.batch.pieces.empty() && !started) {
      http::ResponseHead head{200, {{"Content-Type", "video/mp4"}, {"Cache-Control", "no-store"}}};
      if (!co_await exchange.start(std::move(head))) co_return;
      started = true;
    }
    if (!co_await write_together(exchange, read.batch.pieces)) co_return;
    const bool ended = read.end && read.batch.pieces.empty();
    if (started && ended) {
      co_await exchange.finish();
      co_return;
    }
    if (started) continue;
    if (ended) {
      Response gone = Response::error(410, "ended", "the stream has ended");
      co_await exchange.respond(std::move(gone));
      co_return;
    }
    if (!read.exists && std::chrono::steady_clock::now() >= until) {
      Response missing = Response::error(404, "not_found", "no such track");
      co_await exchange.respond(std::move(missing));
      co_return;
    }
    if (!read.exists) co_await sleep_for(std::chrono::milliseconds{50});
  }
  if (!started) {
    Response later = Response::error(503, "unavailable", "the packager is stopping");
    co_await exchange.respond(std::move(later));
  }
}

Task<void> put_plan(Exchange& exchange, Hub& hub, StreamId id) {
  const Result<std::string> body = co_await exchange.read_all(kPlanBytesMax);
  Result<media::LadderPlan> plan = body ? parse_plan(*body, id.view()) : Result<media::LadderPlan>{pass(body)};
  Result<void> done;
  if (plan) {
    auto set = [&hub, &id, &plan]() -> Result<void> {
      Result<std::shared_ptr<LiveStream>> stream = hub.find_or_create(id);
      if (!stream) return pass(stream);
      return (*stream)->set_plan(*plan);
    };
    done = co_await run_on(hub.loop_of(id), std::move(set));
  } else {
    done = pass(plan);
  }
  Response response = done ? Response::json(200, "{}") : answer_of(done.error());
  co_await exchange.respond(std::move(response));
}

Task<void> post_end(Exchange& exchange, Hub& hub, StreamId id) {
  auto end = [&hub, &id] {
    const std::shared_ptr<LiveStream> stream = hub.find(id);
    if (stream) stream->end();
    return stream != nullptr || hub.was_removed(id);
  };
  const bool known = co_await run_on(hub.loop_of(id), std::move(end));
  Response response = known ? Response::json(200, "{}") : Response::error(404, "not_found", "no such stream");
  co_await exchange.respond(std::move(response));
}

Task<void> delete_stream(Exchange& exchange, Hub& hub, StreamId id) {
  Task<Result<void>> removing = hub.remove(id);
  const Result<void> removed = co_await run_task_on<Result<void>>(hub.loop_of(id), std::move(removing));
  if (!removed) log_error("a stream was not removed", {{"stream", id.view()}, {"error", removed.error()}});
  Response response = removed ? Response::json(200, "{}") : Response::of(removed.error());
  co_await exchange.respond(std::move(response));
}

/// Wraps a handler of a track: signature first, then the path.
http::Router::Route of_track(const Node& node, Hub& hub, Task<void> (*handle)(Exchange&, Hub&, TrackPath)) {
  return [&node, &hub, handle](Exchange& exchange, const Parameters& parameters) -> Task<void> {
    const bool allowed = co_await signed_call(exchange, node);
    if (!allowed) co_return;
    Result<TrackPath> path = track_path(parameters);
    if (!path) {
      Response refused = answer_of(path.error());
      co_await exchange.respond(std::move(refused));
      co_return;
    }
    co_await handle(exchange, hub, std::move(*path));
  };
}

http::Router::Route of_stream(const Node& node, Hub& hub, Task<void> (*handle)(Exchange&, Hub&, StreamId)) {
  return [&node, &hub, handle](Exchange& exchange, const Parameters& parameters) -> Task<void> {
    const bool allowed = co_await signed_call(exchange, node);
    if (!allowed) co_return;
    const Result<StreamId> id = StreamId::parse(http::parameter(parameters, "stream"));
    if (!id) {
      Response refused = Response::error(404, "not_found", "no such stream");
      co_await exchange.respond(std::move(refused));
      co_return;
    }
    co_await handle(exchange, hub, *id);
  };
}

}  // namespace

Task<bool> signed_call(Exchange& exchange, const Node& node) {
  const Result<NodeId> caller = verify_internal(node.node_secret, exchange.head(), wall_now());
  if (caller) co_return true;
  Response refused = Response::error(401, "unauthorized", caller.error().message);
  co_await exchange.respond(std::move(refused));
  co_return false;
}

void add_bus_routes(http::Router& router, Node& node, Hub& hub) {
  router.add("PUT", "/tracks/{stream}/{track}", of_track(node, hub, put_track));
  router.add("GET", "/tracks/{stream}/{track}/head", of_track(node, hub, get_head));
  router.add("GET", "/tracks/{stream}/{track}", of_track(node, hub, get_track));
  router.add("PUT", "/streams/{stream}/plan", of_stream(node, hub, put_plan));
  router.add("POST", "/streams/{stream}/end", of_stream(node, hub, post_end));
  router.add("DELETE", "/streams/{stream}", of_stream(node, hub, delete_stream));
}

}  // namespace ribalta::packager
