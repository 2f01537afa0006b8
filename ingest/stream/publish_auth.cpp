#include "ingest/stream/publish_auth.h"

#include "core/json.h"
#include "core/log.h"

namespace ribalta::ingest {
namespace {

struct Ask {
  std::string key;
  std::string proposed_stream;
  std::string address;
};
BOOST_DESCRIBE_STRUCT(Ask, (), (key, proposed_stream, address))
struct Answer {
  std::string stream;
  std::int64_t epoch = 0;
  std::string user;
  bool resumed = false;
  std::int64_t start_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(Answer, (), (stream, epoch, user, resumed, start_unix_ms))

constexpr std::chrono::milliseconds kAskAgain{250};

std::string refusal(const ErrorBody& error) {
  if (!error.message.empty()) return error.message;
  if (error.code == "busy") return "This stream key is publishing already, from another encoder.";
  if (error.code == "suspended") return "This account may not go live.";
  return "The stream key is wrong. Copy it again from the page \"Go live\".";
}

Result<PublishGrant> read_grant(std::string_view body) {
  const Result<Answer> answer = json_read<Answer>(body, JsonUnknown::ignore);
  if (!answer) return answer.error().in("answer to publish");
  const Result<StreamId> stream = StreamId::parse(answer->stream);
  if (!stream) return stream.error().in("answer to publish");
  if (answer->epoch < 1) return fail(Code::malformed, "answer to publish: epoch", answer->epoch);
  return PublishGrant{*stream, Epoch{answer->epoch}, answer->user, answer->resumed, answer->start_unix_ms};
}

RememberedKey remembered(std::string hash, const PublishGrant& grant, std::int64_t accepted_unix_ms, WallTime now) {
  return {std::move(hash),     grant.user,       grant.stream.text(), grant.epoch.value,
          grant.start_unix_ms, accepted_unix_ms, to_unix_ms(now),     true};
}

}  // namespace

Result<PublishGrant> grant_from_memory(const std::optional<RememberedKey>& known, WallTime now) {
  if (!known) {
    return fail(Code::unavailable, "The server cannot check stream keys right now. Please try again in a minute.");
  }
  PublishGrant grant{.user = known->user, .start_unix_ms = to_unix_ms(now), .from_memory = true};
  const std::int64_t silent_ms = to_unix_ms(now) - known->seen_unix_ms;
  const Result<StreamId> stream = StreamId::parse(known->stream);
  if (stream && silent_ms <= std::chrono::milliseconds{kGrace}.count()) {
    grant.stream = *stream;
    grant.epoch = Epoch{known->epoch + 1};
    grant.resumed = true;
    grant.start_unix_ms = known->start_unix_ms;
  }
  return grant;
}

Task<Result<PublishGrant>> ask_publish(const Rooms& rooms, KeyMemory& memory, std::string key, std::string address) {
  std::string hash = memory.hash(key);
  const std::string body = json_write(Ask{std::move(key), StreamId::random().text(), std::move(address)});
  const auto until = std::chrono::steady_clock::now() + kAskFor;
  Result<http::Response> response;
  while (true) {
    std::string copy = body;
    response = co_await rooms.control("POST", "/internal/v1/publish", std::move(copy));
    if (response && response->status < 500) break;
    // Who is remembered need not wait; a stranger may come in the second in which the control plane restarts.
    if (memory.find(hash, wall_now()) || std::chrono::steady_clock::now() >= until) break;
    co_await sleep_for(kAskAgain);
  }
  const WallTime now = wall_now();
  if (response && response->status == 200) {
    Result<PublishGrant> grant = read_grant(response->body);
    if (grant) memory.remember(remembered(std::move(hash), *grant, to_unix_ms(now), now));
    co_return grant;
  }
  if (response && response->status == 403) {
    const ErrorBody error = read_error_body(response->body);
    if (error.code != "busy") memory.forget(hash);
    co_return fail(Code::forbidden, refusal(error));
  }
  log_warning("the control plane does not say who may publish: asking the memory",
              {{"reason", response ? "status " + std::to_string(response->status) : response.error().message}});
  const std::optional<RememberedKey> known = memory.find(hash, now);
  Result<PublishGrant> grant = grant_from_memory(known, now);
  if (grant) memory.remember(remembered(std::move(hash), *grant, known->accepted_unix_ms, now));
  co_return grant;
}

}  // namespace ribalta::ingest
