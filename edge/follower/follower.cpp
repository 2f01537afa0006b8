#include "edge/follower/follower.h"

#include <boost/describe/class.hpp>
#include <optional>

#include "core/http/client.h"
#include "core/ids.h"
#include "core/json.h"
#include "core/log.h"

namespace ribalta::edge {

BOOST_DESCRIBE_STRUCT(Notice, (), (kind, id, access))

namespace {

struct NoticesPage {
  std::string cursor;
  bool lost = false;
  std::vector<Notice> items;
};
BOOST_DESCRIBE_STRUCT(NoticesPage, (), (cursor, lost, items))

struct Restricted {
  std::vector<Notice> items;
  std::optional<std::string> next;
};
BOOST_DESCRIBE_STRUCT(Restricted, (), (items, next))

constexpr std::string_view kAccessPrefix{"video:"};
constexpr std::string_view kAccessSuffix{":access"};

constexpr std::string_view kStreams{"stream:"};
constexpr std::string_view kVideos{"video:"};

std::string access_key(std::string_view id) { return std::string{kAccessPrefix}.append(id).append(kAccessSuffix); }

bool is_access(std::string_view text) { return text == "public" || text == "token" || text == "gone"; }

/// What comes from another machine goes into Redis only as what it must be.
bool makes_sense(const Notice& notice) {
  const bool video = notice.kind == "video" && is_access(notice.access);
  const bool stream = notice.kind == "stream" && notice.access == "gone";
  return (video || stream) && is_id(notice.id);
}

/// Where the next page of what is restricted begins: streams first, then videos, each by id.
bool is_place(std::string_view text) {
  for (const std::string_view kind : {kStreams, kVideos}) {
    if (text.starts_with(kind)) return text.size() == kind.size() || is_id(text.substr(kind.size()));
  }
  return false;
}

}  // namespace

Follower::Follower(asio::any_io_executor loop, std::shared_ptr<redis::Client> redis, FollowerOptions options)
    : redis_(std::move(redis)), options_(std::move(options)), pause_(std::move(loop)), well_ms_(options_.now_ms()) {}

void Follower::stop() {
  stopping_ = true;
  pause_.notify_all();
}

Task<void> Follower::follow() {
  while (!stopping_) {
    const std::uint64_t seen = pause_.version();
    const bool well = co_await look();
    if (!well) co_await pause_.wait(seen, options_.again);
  }
}

Task<bool> Follower::look() {
  const Result<void> done = co_await step();
  note(done);
  co_return done.has_value();
}

void Follower::note(const Result<void>& done) {
  const std::lock_guard lock{mutex_};
  if (done && !trouble_.empty()) log_info("the first node is followed again");
  if (!done && trouble_.empty()) log_warning("the first node can't be followed", {{"error", done.error()}});
  if (done) well_ms_ = options_.now_ms();
  trouble_ = done ? std::string{} : done.error().message;
  unknown_ = !done && done.error().code == Code::forbidden;
}

std::string Follower::health() const {
  const std::lock_guard lock{mutex_};
  if (unknown_) return "the first node does not know this node: it was removed there, or has not joined";
  const std::int64_t silence = options_.now_ms() - well_ms_;
  if (silence < kFirstNodeSilenceMs) return {};
  return "the first node has not been followed for " + std::to_string(silence / 1000) +
         " s: what is in the cache plays on, nothing new comes (" + trouble_ + ")";
}

Task<Result<std::string>> Follower::ask(std::string target) {
  http::Request request{.method = "GET", .target = std::move(target), .fields = {}, .body = {}};
  request.fields.set("Host", "first");
  const http::ClientLimits limits{.body_bytes_max = kAnswerBytesMax};
  http::Address address = options_.first;
  Result<http::Response> response = co_await http::call(std::move(address), std::move(request), limits);
  if (!response) co_return response.error().in("the first node");
  if (response->status == 200) co_return std::move(response->body);
  if (response->status == 403) co_return fail(Code::forbidden, "the first node refuses");
  if (response->status == 502 || response->status == 504) {
    co_return fail(Code::unavailable, "no connection to the first node");
  }
  co_return fail(Code::unavailable, "the first node answers with status", response->status);
}

Task<Result<void>> Follower::step() {
  std::string target = "/node/v1/notices?version=" + options_.version + "&after=" + cursor_;
  const Result<std::string> answer = co_await ask(std::move(target));
  if (!answer) co_return pass(answer);
  const Result<NoticesPage> page = json_read<NoticesPage>(*answer, JsonUnknown::ignore);  // it may be newer
  if (!page) co_return page.error().in("the first node's notices");
  // Until all of it is in Redis, what was asked for has not been heard.
  const std::string before = std::exchange(cursor_, std::string{});
  if (page->lost || before.empty()) {
    const Result<void> read = co_await read_all();
    if (!read) co_return read;
  }
  for (const Notice& notice : page->items) {
    const Result<void> kept = co_await keep(notice);
    if (!kept) co_return kept;
  }
  cursor_ = page->cursor;
  co_return Result<void>{};
}

Task<Result<void>> Follower::read_all() {
  std::map<std::string, bool, std::less<>> restricted;
  std::optional<std::string> after{std::string{}};
  while (after) {
    const Result<std::string> answer = co_await ask("/node/v1/restricted?after=" + *after);
    if (!answer) co_return pass(answer);
    Result<Restricted> page = json_read<Restricted>(*answer, JsonUnknown::ignore);
    if (!page) co_return page.error().in("the first node's restricted videos");
    for (const Notice& notice : page->items) {
      if (notice.kind == "video") restricted.emplace(notice.id, true);
      const Result<void> kept = co_await keep(notice);
      if (!kept) co_return kept;
    }
    if (restricted.size() > kRestrictedMax) co_return fail(Code::limit, "restricted videos: more than", kRestrictedMax);
    if (page->next && (!is_place(*page->next) || *page->next <= *after)) {
      co_return fail(Code::malformed, "the first node's answer makes no sense");
    }
    after = std::move(page->next);
  }
  co_return co_await open_others(restricted);
}

Task<Result<void>> Follower::open_others(const std::map<std::string, bool, std::less<>>& restricted) {
  std::string cursor{"0"};
  do {
    std::vector<std::string> scan{"SCAN", cursor, "MATCH", access_key("*"), "COUNT", "500"};
    const Result<redis::Reply> reply = co_await redis_->command(std::move(scan));
    if (!reply) co_return reply.error().in("redis");
    if (reply->array.size() != 2) co_return fail(Code::malformed, "redis: no answer to SCAN");
    for (const redis::Reply& key : reply->array[1].array) {
      std::string_view id{key.text};
      if (!id.starts_with(kAccessPrefix) || !id.ends_with(kAccessSuffix)) continue;
      id.remove_prefix(kAccessPrefix.size());
      id.remove_suffix(kAccessSuffix.size());
      if (restricted.contains(id)) continue;
      std::vector<std::string> set{"SET", key.text, "public"};
      const Result<redis::Reply> opened = co_await redis_->command(std::move(set));
      if (!opened) co_return opened.error().in("redis");
    }
    cursor = reply->array[0].text;
  } while (cursor != "0");
  co_return Result<void>{};
}

Task<Result<void>> Follower::keep(Notice notice) {
  if (!makes_sense(notice)) co_return fail(Code::malformed, "the first node's answer makes no sense");
  std::vector<std::string> set;
  if (notice.kind == "video") set = {"SET", access_key(notice.id), notice.access, "GET"};
  if (notice.kind == "stream") {
    set = {"SET", "stream:" + notice.id + ":origin", notice.access, "EX", std::to_string(kGoneStreamS), "GET"};
  }
  const Result<redis::Reply> earlier = co_await redis_->command(std::move(set));
  if (!earlier) co_return earlier.error().in("redis");
  const bool same = earlier->kind == redis::Reply::Kind::text && earlier->text == notice.access;
  if (same || notice.access == "public") co_return Result<void>{};
  co_return co_await purge(notice.kind + ":" + notice.id);
}

Task<Result<void>> Follower::purge(std::string tag) {
  std::vector<std::string> publish{"PUBLISH", "purge", std::move(tag)};
  const Result<redis::Reply> told = co_await redis_->command(std::move(publish));
  if (!told) co_return told.error().in("redis");
  co_return Result<void>{};
}

}  // namespace ribalta::edge
