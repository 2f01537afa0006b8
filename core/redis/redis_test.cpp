// Against a real redis-server on a Unix socket of its own.
#include "core/redis/redis.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <future>
#include <stdexcept>

#include "core/http/http.h"
#include "core/testing/false_redis.h"
#include "core/testing/run.h"

using namespace ribalta;
using namespace std::chrono_literals;
using ribalta::testing::FalseRedis;
using ribalta::testing::run_on;
using ribalta::testing::Tally;
using ribalta::testing::TemporaryFolder;

namespace {

class RedisServer {
 public:
  explicit RedisServer(const std::filesystem::path& folder) : folder_(folder.string()) {
    ::signal(SIGPIPE, SIG_IGN);  // as daemon_main does: hiredis writes to connections that have just ended
    start();
  }
  ~RedisServer() { stop(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  void start() {
    const std::string socket = folder_ + "/redis.sock";
    std::vector<std::string> words{
        "redis-server", "--port", "0",         "--unixsocket",        socket, "--dir", folder_, "--save", "",
        "--appendonly", "no",     "--logfile", folder_ + "/redis.log"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t quiet;  // and holding no pipe open of whoever runs the test
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&quiet, 1, 2);
    REQUIRE(::posix_spawnp(&process_, "redis-server", &quiet, nullptr, arguments.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&quiet);
  }
  void stop() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  [[nodiscard]] std::string address() const { return "unix:" + folder_ + "/redis.sock"; }

 private:
  std::string folder_;
  pid_t process_ = -1;
};

struct Set {
  TemporaryFolder folder;
  RedisServer server{folder.path()};
  LoopPool loops{1};
  std::shared_ptr<redis::Client> client;
  Tally connections;

  explicit Set(std::chrono::milliseconds timeout = 5s) {
    loops.start();
    run_on(loops, [](Set& set, std::chrono::milliseconds limit) -> Task<void> {
      set.client = redis::Client::create(set.loops.loop(0), set.server.address(), limit);
      set.client->on_connected([&set] { set.connections.add(); });
      co_return;
    }(*this, timeout));
    connections.wait_for(1);
  }
  ~Set() {
    run_on(loops, [](Set& set) -> Task<void> {
      set.client.reset();
      co_return;
    }(*this));
    loops.stop(5s);
  }
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;

  Result<redis::Reply> command(std::vector<std::string> arguments) {
    return run_on(loops, client->command(std::move(arguments)));
  }
};

}  // namespace

TEST_CASE("redis: commands, binary values, nil, integers, arrays and errors") {
  Set set;
  const std::string binary{"a\0\r\n\xff", 5};
  CHECK(set.command({"SET", "k", binary}).value().text == "OK");
  CHECK(set.command({"GET", "k"}).value().text == binary);
  CHECK(set.command({"GET", "none"}).value().kind == redis::Reply::Kind::nil);
  CHECK(set.command({"INCR", "n"}).value().integer == 1);
  CHECK(set.command({"RPUSH", "l", "1", "2"}).value().integer == 2);
  const redis::Reply list = set.command({"LRANGE", "l", "0", "-1"}).value();
  REQUIRE(list.array.size() == 2);
  CHECK(list.array[1].text == "2");
  CHECK(set.command({"INCR", "k"}).error().code == Code::malformed);
  CHECK(set.command({"NO-SUCH-COMMAND"}).error().code == Code::malformed);
}

TEST_CASE("redis: what would turn the connection into another kind is refused") {
  Set set;
  CHECK(set.command({"SUBSCRIBE", "x"}).error().code == Code::unsupported);
  CHECK(set.command({"monitor"}).error().code == Code::unsupported);
  CHECK(set.command({"PING"}).value().text == "PONG");
}

TEST_CASE("redis: many commands at once are answered in order") {
  Set set;
  std::vector<std::future<Result<redis::Reply>>> replies;
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::string> arguments{"ECHO", std::to_string(i)};
    replies.push_back(asio::co_spawn(set.loops.loop(0), set.client->command(std::move(arguments)), asio::use_future));
  }
  for (int i = 0; i < 2000; ++i) CHECK(replies[static_cast<std::size_t>(i)].get().value().text == std::to_string(i));
}

TEST_CASE("redis: more waiting commands than the limit are refused at once") {
  Set set{60s};
  REQUIRE(set.command({"CLIENT", "PAUSE", "60000", "ALL"}).has_value());
  std::vector<std::future<Result<redis::Reply>>> replies;
  for (std::size_t i = 0; i < redis::kCommandsWaitingMax; ++i) {
    std::vector<std::string> arguments{"PING"};
    replies.push_back(asio::co_spawn(set.loops.loop(0), set.client->command(std::move(arguments)), asio::use_future));
  }
  CHECK(set.command({"PING"}).error().code == Code::unavailable);
  set.server.stop();
  for (auto& reply : replies) CHECK(reply.get().error().code == Code::unavailable);
}

TEST_CASE("redis: a caller that stops waiting costs nobody the connection") {
  Set set;
  REQUIRE(set.command({"CLIENT", "PAUSE", "100", "ALL"}).has_value());  // no reply before the caller has left
  run_on(set.loops, [](Set& s) -> Task<void> {
    using namespace asio::experimental::awaitable_operators;
    std::vector<std::string> set_words{"SET", "k", "1"};
    const asio::any_io_executor loop = co_await asio::this_coro::executor;
    co_await (s.client->command(std::move(set_words)) || asio::post(loop, asio::use_awaitable));
  }(set));
  CHECK(set.command({"GET", "k"}).value().text == "1");
  CHECK(set.connections.count() == 1);
}

TEST_CASE("redis: a server that is late is a timeout; the connection is dropped and made again") {
  Set set{100ms};
  REQUIRE(set.command({"CLIENT", "PAUSE", "60000", "ALL"}).has_value());
  CHECK(set.command({"GET", "k"}).error().code == Code::timeout);
  CHECK_FALSE(set.command({"GET", "k"}).has_value());  // the pause also holds what comes on a new connection
  set.server.stop();
  set.server.start();
  // A connection to the late server may have been made meanwhile: it ends, and another follows.
  for (int made = 2; !set.command({"PING"}).has_value(); ++made) set.connections.wait_for(made);
  CHECK(set.connections.count() >= 2);
}

TEST_CASE("redis: a restart is noticed, waiting commands are told, and the connection comes back") {
  Set set;
  REQUIRE(set.command({"CLIENT", "PAUSE", "60000", "ALL"}).has_value());
  std::vector<std::string> ping{"PING"};
  auto waiting = asio::co_spawn(set.loops.loop(0), set.client->command(std::move(ping)), asio::use_future);
  set.server.stop();
  CHECK(waiting.get().error().code == Code::unavailable);
  CHECK(set.command({"PING"}).error().code == Code::unavailable);
  set.server.start();
  set.connections.wait_for(2);
  CHECK(set.command({"PING"}).value().text == "PONG");
  CHECK(set.connections.count() == 2);
}

TEST_CASE("redis: a callback that throws costs its connection, and the next one is made and told all the same") {
  Set set;
  std::atomic<int> told{0};
  run_on(set.loops, [](Set& s, std::atomic<int>& count) -> Task<void> {
    // Posted once for the connection that stands; then called by the coroutine that keeps it.
    s.client->on_connected([&count] {
      if (++count == 2) throw std::runtime_error("a bug");
    });
    co_return;
  }(set, told));
  set.server.stop();
  set.server.start();
  run_on(set.loops, [](Set& s, std::atomic<int>& count) -> Task<void> {
    while (count < 3 || !s.client->connected()) co_await sleep_for(5ms);
  }(set, told));
  CHECK(set.command({"PING"}).value().text == "PONG");
}

TEST_CASE("redis: a reply of the limit is read, a longer one is an error, and a huge one never fills the memory") {
  Set set;
  const auto filled = [&set](std::size_t bytes) {
    REQUIRE(set.command({"DEL", "big"}).has_value());
    REQUIRE(set.command({"SETRANGE", "big", std::to_string(bytes - 1), "x"}).has_value());
    return set.command({"GET", "big"});
  };
  CHECK(filled(redis::kReplyBytesMax - 1000).value().text.size() == redis::kReplyBytesMax - 1000);
  CHECK(filled(redis::kReplyBytesMax + 1).error().code == Code::limit);
  CHECK(set.command({"PING"}).has_value());
  CHECK(filled(50'000'000).error().code == Code::unavailable);
  set.connections.wait_for(2);
  CHECK(set.command({"PING"}).has_value());
}

TEST_CASE("redis: whatever is answered, and whether it was asked for or not, it costs the connection at most") {
  for (const char* bytes :
       {"+OK\r\n+OK\r\n", "*2147483647\r\n", "*-2\r\n", "$-2\r\n", "HTTP/1.1 400 No\r\n\r\n", ":\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "-ERR\r\n-ERR\r\n"}) {
    for (const bool unasked : {false, true}) {
      CAPTURE(bytes);
      CAPTURE(unasked);
      const TemporaryFolder folder;
      FalseRedis server{folder.path(), bytes, unasked};
      LoopPool loops{1};
      loops.start();
      Tally connections;
      std::shared_ptr<redis::Client> client;
      run_on(loops,
             [](LoopPool& on, const FalseRedis& at, Tally& made, std::shared_ptr<redis::Client>& held) -> Task<void> {
               held = redis::Client::create(on.loop(0), at.address(), 5s);
               held->on_connected([&made] { made.add(); });
               co_return;
             }(loops, server, connections, client));
      connections.wait_for(1);
      if (!unasked) {  // what comes of the command is told; then the connection is made again
        std::vector<std::string> get{"GET", "x"};
        static_cast<void>(run_on(loops, client->command(std::move(get))));
      }
      server.came.wait_for(2);
      run_on(loops, [](std::shared_ptr<redis::Client> held) -> Task<void> { co_return held->close(); }(client));
      loops.stop(5s);
    }
  }
}

TEST_CASE("redis: a client that is closed refuses, and those who wait are told") {
  Set set;
  REQUIRE(set.command({"CLIENT", "PAUSE", "60000", "ALL"}).has_value());
  std::vector<std::string> ping{"PING"};
  auto waiting = asio::co_spawn(set.loops.loop(0), set.client->command(std::move(ping)), asio::use_future);
  run_on(set.loops, [](Set& s) -> Task<void> { co_return s.client->close(); }(set));
  CHECK(waiting.get().error().code == Code::unavailable);
  CHECK(set.command({"PING"}).error().code == Code::unavailable);
}

TEST_CASE("redis: nobody there is unavailable, and a server that comes later is found") {
  const TemporaryFolder folder;
  LoopPool loops{1};
  loops.start();
  Tally connections;
  auto client = redis::Client::create(loops.loop(0), "unix:" + (folder.path() / "redis.sock").string());
  run_on(loops, [](std::shared_ptr<redis::Client> held, Tally& made) -> Task<void> {
    held->on_connected([&made] { made.add(); });
    co_return;
  }(client, connections));
  std::vector<std::string> ping{"PING"};
  CHECK(run_on(loops, client->command(ping)).error().code == Code::unavailable);
  const RedisServer server{folder.path()};
  connections.wait_for(1);
  CHECK(run_on(loops, client->command(ping)).value().text == "PONG");
  run_on(loops, [](std::shared_ptr<redis::Client> held) -> Task<void> { co_return held->close(); }(client));
  loops.stop(5s);
}

TEST_CASE("subscriber: messages come on their channel, and again after a restart, with word of each renewal") {
  Set set;
  std::shared_ptr<redis::Subscriber> subscriber;
  Tally renewals;
  std::promise<std::string> first;
  std::promise<std::string> second;
  std::promise<std::string>* next = &first;
  run_on(set.loops, [&]() -> Task<void> {
    subscriber = redis::Subscriber::create(set.loops.loop(0), set.server.address());
    subscriber->subscribe("bell", [&next](std::string_view channel, std::string_view message) {
      next->set_value(std::string{channel} + "=" + std::string{message});
    });
    subscriber->subscribe("other", [](std::string_view, std::string_view) { CHECK(false); });
    subscriber->on_subscribed([&renewals] { renewals.add(); });
    co_return;
  }());
  renewals.wait_for(1);
  CHECK(set.command({"PUBLISH", "bell", "one"}).value().integer == 1);
  CHECK(first.get_future().get() == "bell=one");
  CHECK(renewals.count() == 1);
  next = &second;
  set.server.stop();
  set.server.start();
  renewals.wait_for(2);
  set.connections.wait_for(2);
  CHECK(set.command({"PUBLISH", "bell", "two"}).value().integer == 1);
  CHECK(second.get_future().get() == "bell=two");
  CHECK(renewals.count() == 2);
  run_on(set.loops,
         [](std::shared_ptr<redis::Subscriber> ended) -> Task<void> { co_return ended->close(); }(subscriber));
}

TEST_CASE("subscriber: a message that is short, empty, or none at all costs its connection, not the process") {
  for (const char* bytes :
       {"*0\r\n", "*1\r\n$7\r\nmessage\r\n", "*3\r\n$-1\r\n$4\r\nbell\r\n$1\r\nx\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$4\r\nbell\r\n$1\r\n0\r\n", "$4\r\nbell\r\n", "+OK\r\n", ":1\r\n", "$-1\r\n",
        "*3\r\n*3\r\n:1\r\n:1\r\n:1\r\n$4\r\nbell\r\n$1\r\nx\r\n"}) {
    for (const bool unasked : {false, true}) {
      CAPTURE(bytes);
      CAPTURE(unasked);
      const TemporaryFolder folder;
      const std::string standing = "*3\r\n$9\r\nsubscribe\r\n$4\r\nbell\r\n:1\r\n";
      FalseRedis server{folder.path(), unasked ? bytes : standing + bytes, unasked};
      LoopPool loops{1};
      loops.start();
      Tally renewals;
      std::shared_ptr<redis::Subscriber> subscriber;
      run_on(
          loops,
          [](LoopPool& on, const FalseRedis& at, Tally& made, std::shared_ptr<redis::Subscriber>& held) -> Task<void> {
            held = redis::Subscriber::create(on.loop(0), at.address());
            held->subscribe("bell", [](std::string_view, std::string_view) { CHECK(false); });
            held->on_subscribed([&made] { made.add(); });
            co_return;
          }(loops, server, renewals, subscriber));
      server.came.wait_for(3);  // dropped, and made again
      CHECK((renewals.count() > 0) == !unasked);
      run_on(loops, [](std::shared_ptr<redis::Subscriber> held) -> Task<void> { co_return held->close(); }(subscriber));
      loops.stop(5s);
    }
  }
}
