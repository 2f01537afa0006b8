#include "edge/nginx/lookups.h"

extern "C" {
#include <hiredis/hiredis.h>
}

namespace ribalta::edge {
namespace {

constexpr std::string_view kPurgeChannel{"purge"};

std::string redis_key(MediaKind kind, std::string_view id) {
  std::string key = kind == MediaKind::live ? "stream:" : "video:";
  key += id;
  key += kind == MediaKind::live ? ":origin" : ":access";
  return key;
}

}  // namespace

void Waiter::leave() {
  if (link_ == nullptr) return;
  *link_ = next_;
  if (next_ != nullptr) next_->link_ = link_;
  link_ = nullptr;
  next_ = nullptr;
}

Lookups::Lookups(const RedisAddress& redis, Zone zone, std::function<void(const Tag&)> listens, ngx_log_t* log)
    : zone_(zone), log_(log), commands_(redis, *this, log), on_purge_(std::move(listens)) {
  if (on_purge_) messages_ = std::make_unique<RedisLink>(redis, *this, log);
}

Lookups::~Lookups() {
  zone_.set_redis_connected(false);
  commands_.stop();
  for (auto& [key, question] : questions_) {
    while (question->waiters != nullptr) question->waiters->leave();
  }
}

void Lookups::start() {
  commands_.start();
  if (messages_) messages_->start();
}

bool Lookups::ask(MediaKind kind, std::string_view id, Waiter& waiter) {
  std::string key = redis_key(kind, id);
  std::unique_ptr<Question>& question = questions_[key];
  if (!question) {
    question = std::make_unique<Question>(this, kind, std::string{id}, key, now_ms(), nullptr);
    if (!commands_.get(question->key, on_reply, question.get())) {
      questions_.erase(key);
      return false;
    }
    count(zone_.counters().answers_redis);
  }
  waiter.next_ = question->waiters;
  waiter.link_ = &question->waiters;
  if (waiter.next_ != nullptr) waiter.next_->link_ = &waiter.next_;
  question->waiters = &waiter;
  return true;
}

void Lookups::on_reply(const redisReply* reply, void* data) {
  auto* question = static_cast<Question*>(data);
  question->owner->finish(*question, reply);
}

void Lookups::finish(Question& question, const redisReply* reply) {
  // Off the map first: a waiter that is told may ask again.
  const auto node = questions_.extract(question.key);
  Answer answer;
  if (reply != nullptr && reply->type == REDIS_REPLY_STRING) {
    const std::string_view value{reply->str, static_cast<std::size_t>(reply->len)};
    answer = zone_.store(question.kind, question.id, value, question.asked_ms);
  } else if (reply != nullptr && reply->type == REDIS_REPLY_NIL) {
    answer = zone_.store(question.kind, question.id, std::nullopt, question.asked_ms);
  } else {  // none, or an error such as LOADING: unknown
    count(zone_.counters().answers_failed);
    answer = zone_.store_unknown(question.kind, question.id);
  }
  while (Waiter* waiter = question.waiters) {
    waiter->leave();
    waiter->answered(answer);
  }
}

void Lookups::redis_connected(RedisLink& link) {
  if (&link == messages_.get()) {
    link.subscribe(kPurgeChannel);
  } else {
    zone_.set_redis_connected(true);
  }
}

void Lookups::redis_lost(RedisLink& link) {
  if (&link == &commands_) zone_.set_redis_connected(false);
}

/// Purges may have been missed until now.
void Lookups::redis_subscribed() { zone_.expire_all(); }

void Lookups::redis_message(std::string_view channel, std::string_view text) {
  if (channel != kPurgeChannel) return;
  const Result<Tag> tag = parse_tag(text);
  if (!tag) {
    ngx_log_error(NGX_LOG_WARN, log_, 0, "ribalta: purge: %s", tag.error().message.c_str());
    return;
  }
  zone_.purge(*tag);
  on_purge_(*tag);
  count(zone_.counters().purges);
}

}  // namespace ribalta::edge
