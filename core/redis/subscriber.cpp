#include <map>
#include <set>

#include "core/log.h"
#include "core/redis/link.h"
#include "core/redis/reconnect.h"

namespace ribalta::redis {
namespace {

class SubscriberConnection : public Reconnecting {
 public:
  using Reconnecting::Reconnecting;

  void subscribe(std::string channel, Subscriber::OnMessage on_message) {
    const std::string name = channel;
    channels_[std::move(channel)] = std::move(on_message);
    if (link() && link()->connected()) ask(*link(), name);
  }
  void on_subscribed(std::function<void()> callback) { callbacks_.push_back(std::move(callback)); }

 private:
  void connected(const std::shared_ptr<Link>& link) override {
    confirmed_.clear();
    told_ = false;
    for (const auto& [channel, on_message] : channels_) ask(*link, channel);
    tell_if_standing();
  }

  void ask(Link& link, const std::string& channel) {
    const std::vector<std::string> command{"SUBSCRIBE", channel};
    link.send(command, on_reply, this);
  }

  /// Called for the confirmation and for each message, and with null when the connection ends; the connection outlives
  /// its link.
  static void on_reply(redisAsyncContext*, void* data, void* context) {
    if (data == nullptr) return;
    auto& self = *static_cast<SubscriberConnection*>(context);
    self.link()->reply_came();
    const Result<Reply> reply = copy_reply(*static_cast<redisReply*>(data));
    if (!reply || reply->array.size() != 3) {
      log_warning("redis: a message that is none", {});
      return;
    }
    const std::string& kind = reply->array[0].text;
    const std::string& channel = reply->array[1].text;
    if (kind == "subscribe") {
      self.confirmed_.insert(channel);
      self.tell_if_standing();
    } else if (kind == "message") {
      const auto found = self.channels_.find(channel);
      if (found == self.channels_.end()) return;
      const Subscriber::OnMessage on_message = found->second;  // it may subscribe anew
      on_message(channel, reply->array[2].text);
    }
  }

  void tell_if_standing() {
    if (told_ || confirmed_.size() < channels_.size()) return;
    told_ = true;
    for (std::size_t i = 0; i < callbacks_.size(); ++i) callbacks_[i]();
  }

  std::map<std::string, Subscriber::OnMessage, std::less<>> channels_;
  std::set<std::string, std::less<>> confirmed_;
  std::vector<std::function<void()>> callbacks_;
  bool told_ = false;
};

class SubscriberHandle final : public Subscriber {
 public:
  explicit SubscriberHandle(std::shared_ptr<SubscriberConnection> connection) : connection_(std::move(connection)) {}
  ~SubscriberHandle() override { connection_->close(); }
  void subscribe(std::string channel, OnMessage on_message) override {
    connection_->subscribe(std::move(channel), std::move(on_message));
  }
  void on_subscribed(std::function<void()> callback) override { connection_->on_subscribed(std::move(callback)); }
  void close() override { connection_->close(); }

 private:
  std::shared_ptr<SubscriberConnection> connection_;
};

}  // namespace

std::shared_ptr<Subscriber> Subscriber::create(asio::any_io_executor loop, std::string address) {
  auto connection = std::make_shared<SubscriberConnection>(std::move(loop), std::move(address));
  connection->start();
  return std::make_shared<SubscriberHandle>(std::move(connection));
}

}  // namespace ribalta::redis
