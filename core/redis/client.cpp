#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cassert>

#include "core/log.h"
#include "core/redis/link.h"
#include "core/redis/reconnect.h"

namespace ribalta::redis {
namespace {

/// One command on its way: its caller sleeps on the timer, which the reply cancels.
struct Waiting {
  Waiting(const asio::any_io_executor& loop, std::chrono::milliseconds timeout) : timer(loop, timeout) {}
  asio::steady_timer timer;
  std::weak_ptr<Link> link;
  std::optional<Result<Reply>> reply;
};

/// hiredis gives the context back exactly once for each command that it took.
void on_reply(redisAsyncContext*, void* data, void* context) {
  const std::unique_ptr<std::shared_ptr<Waiting>> held{static_cast<std::shared_ptr<Waiting>*>(context)};
  Waiting& waiting = **held;
  if (data == nullptr) {
    waiting.reply = fail(Code::unavailable, "redis: the connection ended before the reply");
  } else {
    if (const std::shared_ptr<Link> link = waiting.link.lock()) link->reply_came();
    waiting.reply = copy_reply(*static_cast<redisReply*>(data));
  }
  waiting.timer.cancel();  // resumes later, not inside hiredis's callback
}

/// Commands that change what replies mean on their connection.
bool changes_the_connection(std::string_view command) {
  std::string name;
  for (const char c : command) name.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  constexpr std::array<std::string_view, 9> refused{"SUBSCRIBE",   "PSUBSCRIBE",   "SSUBSCRIBE",
                                                    "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
                                                    "MONITOR",     "SYNC",         "PSYNC"};
  return std::ranges::find(refused, name) != refused.end();
}

class ClientConnection : public Reconnecting {
 public:
  ClientConnection(asio::any_io_executor loop, std::string address, std::chrono::milliseconds timeout)
      : Reconnecting(std::move(loop), std::move(address)), timeout_(timeout) {}

  Task<Result<Reply>> command(std::vector<std::string> arguments) {
    assert(!arguments.empty());
    if (changes_the_connection(arguments[0]))
      co_return fail(Code::unsupported, "redis: not on this connection:", arguments[0]);
    const std::shared_ptr<Link> link = this->link();
    if (!link || !link->connected()) co_return fail(Code::unavailable, "redis: not connected");
    if (waiting_ >= kCommandsWaitingMax) co_return fail(Code::unavailable, "redis: too many commands wait");
    auto waiting = std::make_shared<Waiting>(loop(), timeout_);
    waiting->link = link;
    auto held = std::make_unique<std::shared_ptr<Waiting>>(waiting);
    if (!link->send(arguments, on_reply, held.get())) co_return fail(Code::unavailable, "redis: not connected");
    [[maybe_unused]] const auto* taken = held.release();  // on_reply has it now
    {
      ++waiting_;
      const AtEnd counted{[this] { --waiting_; }};
      co_await waiting->timer.async_wait(kTuple);
    }
    if (waiting->reply) co_return std::move(*waiting->reply);
    if (std::chrono::steady_clock::now() < waiting->timer.expiry()) {
      co_return fail(Code::closed, "redis: the caller no longer waits");  // its reply finds nobody, in its turn
    }
    // Replies pair by order: a connection whose reply is late can't be used again.
    log_warning("redis is late, the connection is dropped",
                {{"command", arguments[0]}, {"timeout_ms", timeout_.count()}});
    drop(link);
    co_return fail(Code::timeout, "redis: no reply in time");
  }

  void on_connected(std::function<void()> callback) {
    if (link() && link()->connected()) asio::post(loop(), callback);
    callbacks_.push_back(std::move(callback));
  }

 private:
  void connected(const std::shared_ptr<Link>&) override {
    for (std::size_t i = 0; i < callbacks_.size(); ++i) callbacks_[i]();
  }

  std::chrono::milliseconds timeout_;
  std::size_t waiting_ = 0;
  std::vector<std::function<void()>> callbacks_;
};

/// What callers hold. The connection's own coroutine holds the rest until it has noticed the end.
class ClientHandle final : public Client {
 public:
  explicit ClientHandle(std::shared_ptr<ClientConnection> connection) : connection_(std::move(connection)) {}
  ~ClientHandle() override { connection_->close(); }
  Task<Result<Reply>> command(std::vector<std::string> arguments) override {
    return run(connection_, std::move(arguments));
  }
  void on_connected(std::function<void()> callback) override { connection_->on_connected(std::move(callback)); }
  [[nodiscard]] bool connected() const override { return connection_->link() && connection_->link()->connected(); }
  void close() override { connection_->close(); }

 private:
  static Task<Result<Reply>> run(std::shared_ptr<ClientConnection> connection, std::vector<std::string> arguments) {
    co_return co_await connection->command(std::move(arguments));
  }
  std::shared_ptr<ClientConnection> connection_;
};

}  // namespace

std::shared_ptr<Client> Client::create(asio::any_io_executor loop, std::string address,
                                       std::chrono::milliseconds timeout) {
  auto connection = std::make_shared<ClientConnection>(std::move(loop), std::move(address), timeout);
  connection->start();
  return std::make_shared<ClientHandle>(std::move(connection));
}

}  // namespace ribalta::redis
