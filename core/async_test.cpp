#include "core/async.h"

#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "core/testing/run.h"

using namespace ribalta;
using namespace std::chrono_literals;
using ribalta::testing::run_on;

namespace {

/// Whatever else is ready on this loop runs before it returns.
Task<void> turn() {
  const asio::any_io_executor loop = co_await asio::this_coro::executor;
  co_await asio::post(loop, asio::use_awaitable);
}

/// Gives the loop's other coroutines their turns until it is so; they wait for each other, never for a clock.
template <class Condition>
Task<void> until(Condition condition) {
  constexpr int turns_max = 10'000;
  for (int turns = 0; turns < turns_max && !condition(); ++turns) co_await turn();
  CHECK(condition());
}

}  // namespace

TEST_CASE("loops: the same shard is the same loop, and its coroutines run on one thread") {
  LoopPool loops{3};
  loops.start();
  CHECK(loops.loop(1) == loops.loop(4));
  CHECK(loops.loop(0) != loops.loop(1));
  const auto thread_of = [&loops](std::size_t shard) {
    return run_on(loops, []() -> Task<std::thread::id> { co_return std::this_thread::get_id(); }(), shard);
  };
  CHECK(thread_of(1) == thread_of(4));
  CHECK(thread_of(0) != thread_of(1));
}

TEST_CASE("loops: stop lets what is nearly done end, and cuts what is not") {
  std::atomic<bool> done{false};
  auto token = std::make_shared<int>(1);
  {
    LoopPool loops{1};
    loops.start();
    spawn(loops.loop(0), "short", [](std::atomic<bool>& flag) -> Task<void> {
      co_await sleep_for(5ms);  // ends after `stop` was called: time that passes is what is tested
      flag = true;
    }(done));
    loops.stop(10s);
    CHECK(done);
  }
  {
    LoopPool loops{1};
    loops.start();
    spawn(loops.loop(0), "endless", [](std::shared_ptr<int> held) -> Task<void> {
      co_await sleep_for(24h);
      *held = 2;
    }(token));
    loops.stop(1ms);  // the deadline itself is tested
  }
  CHECK(token.use_count() == 1);
  CHECK(*token == 1);
}

TEST_CASE("spawn: an exception ends its coroutine and nothing else") {
  LoopPool loops{1};
  loops.start();
  spawn(loops.loop(0), "throws", []() -> Task<void> {
    throw std::runtime_error("a bug");
    co_return;
  }());
  CHECK(run_on(loops, []() -> Task<int> { co_return 7; }()) == 7);
}

TEST_CASE("spawn_lasting: begins again after each exception, until it ends by itself") {
  LoopPool loops{1};
  loops.start();
  const std::uint64_t before = async_counts().begun_again;
  std::atomic<int> begun{0};
  std::promise<void> ended;
  spawn_lasting(loops.loop(0), "throws twice", [&]() -> Task<void> {
    return [](std::atomic<int>& count, std::promise<void>& end) -> Task<void> {
      if (++count < 3) throw std::runtime_error("a bug");
      end.set_value();
      co_return;
    }(begun, ended);
  });
  ended.get_future().wait();
  CHECK(begun == 3);
  CHECK(async_counts().begun_again - before == 2);
}

TEST_CASE("spawn_essential: what throws again and again is given up, and the process is told its name") {
  LoopPool loops{1};
  loops.start();
  std::atomic<int> begun{0};
  std::promise<std::string> given_up;
  on_essential_failure([&given_up](std::string_view name) { given_up.set_value(std::string{name}); });
  spawn_essential(loops.loop(0), "the sweep", [&]() -> Task<void> {
    return [](std::atomic<int>& count) -> Task<void> {
      ++count;
      throw std::runtime_error("a bug");
      co_return;
    }(begun);
  });
  CHECK(given_up.get_future().get() == "the sweep");
  on_essential_failure(nullptr);
  CHECK(begun == kEssentialFailuresMax);
  CHECK(run_on(loops, []() -> Task<int> { co_return 7; }()) == 7);
}

TEST_CASE("at end: runs once on every way out") {
  int ended = 0;
  const auto leave = [&ended](bool by_exception) {
    const AtEnd end{[&ended] { ++ended; }};
    if (by_exception) throw std::runtime_error("out");
  };
  leave(false);
  CHECK(ended == 1);
  CHECK_THROWS(leave(true));
  CHECK(ended == 2);
}

namespace {

/// Holds the threads of one pool until it is opened.
struct Gate {
  std::promise<void> opened;
  std::shared_future<void> open{opened.get_future()};
  std::atomic<std::size_t> held{0};
};

template <Lane lane>
void hold(const LoopPool& loops, Gate& gate, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) {
    spawn(loops.loop(0), "holds", [](Gate& by) -> Task<void> {
      auto work = [&by]() -> Result<void> {
        ++by.held;
        by.open.wait();
        return {};
      };
      const Result<void> ran = co_await run_blocking<lane>(work);
      CHECK(ran.has_value());
    }(gate));
  }
}

}  // namespace

TEST_CASE("run_blocking: a full line refuses requests at once; what was let in, and the background, go on") {
  LoopPool loops{1};
  loops.start();
  Gate gate;
  const AsyncCounts::OfPool before = async_counts().pools[0];
  hold<Lane::request>(loops, gate, kBlockingThreads);
  while (gate.held < kBlockingThreads) std::this_thread::yield();
  hold<Lane::request>(loops, gate, kBlockingWaitingMax);
  run_on(loops, []() -> Task<void> {
    auto work = []() -> Result<int> { return 1; };
    const Result<int> beyond = co_await run_blocking(work);
    REQUIRE_FALSE(beyond.has_value());
    CHECK(beyond.error().code == Code::unavailable);
    // Viewers fill every thread of theirs: a live segment is stored all the same.
    CHECK((co_await run_blocking<Lane::background>(work)).value() == 1);
  }());
  const AsyncCounts::OfPool full = async_counts().pools[0];
  CHECK(full.running == kBlockingThreads);
  CHECK(full.waiting == kBlockingWaitingMax);
  CHECK(full.refused - before.refused == 1);
  auto admitted = asio::co_spawn(
      loops.loop(0),
      []() -> Task<int> {
        auto work = [] { return 2; };
        co_return co_await run_blocking<Lane::admitted>(work);
      }(),
      asio::use_future);
  while (async_counts().pools[0].waiting == kBlockingWaitingMax) std::this_thread::yield();
  gate.opened.set_value();
  CHECK(admitted.get() == 2);
  while (async_counts().pools[0].running + async_counts().pools[0].waiting > 0) std::this_thread::yield();
  CHECK(gate.held == kBlockingThreads + kBlockingWaitingMax);
}

TEST_CASE("run_blocking: works elsewhere, comes back to its loop with the value, or the exception") {
  LoopPool loops{1};
  loops.start();
  run_on(loops, []() -> Task<void> {
    const std::thread::id home = std::this_thread::get_id();
    const std::thread::id away = co_await run_blocking<Lane::background>([] { return std::this_thread::get_id(); });
    CHECK(away != home);
    CHECK(std::this_thread::get_id() == home);
    bool caught = false;
    try {
      auto work = []() -> Result<int> { throw std::runtime_error("disk"); };
      co_await run_blocking(work);
    } catch (const std::runtime_error&) {
      caught = true;
    }
    CHECK(caught);
    CHECK(std::this_thread::get_id() == home);
  }());
}

TEST_CASE("run_blocking: a pool that is destroyed waits for the work that refers to it") {
  std::atomic<int> ended{0};
  {
    LoopPool loops{2};
    loops.start();
    for (std::size_t i = 0; i < 50; ++i) {
      spawn(loops.loop(i), "blocking", [](std::atomic<int>& count) -> Task<void> {
        auto work = [&count] {
          std::this_thread::yield();
          return ++count;
        };
        co_await run_blocking<Lane::admitted>(work);
      }(ended));
    }
    loops.stop(0ms);
  }
  const int then = ended;
  std::this_thread::yield();  // silence is what is tested: nobody is left who could count on
  CHECK(ended == then);
}

TEST_CASE("event: notify_all wakes all who wait, and is not lost between version and wait") {
  LoopPool loops{1};
  loops.start();
  run_on(loops, [](asio::any_io_executor loop) -> Task<void> {
    Event event{loop};
    int waiting = 0;
    int woken = 0;
    for (int i = 0; i < 3; ++i) {
      spawn(loop, "waits", [](Event& of, int& began, int& count) -> Task<void> {
        ++began;
        const bool rang = co_await of.wait(of.version(), 1h);
        count += rang ? 1 : 0;
      }(event, waiting, woken));
    }
    co_await until([&waiting] { return waiting == 3; });
    CHECK(woken == 0);
    const std::uint64_t seen = event.version();
    event.notify_all();
    CHECK(co_await event.wait(seen, 1h));
    co_await until([&woken] { return woken == 3; });
    CHECK_FALSE(co_await event.wait(event.version(), 1ms));  // its limit is what is tested
  }(loops.loop(0)));
}

TEST_CASE("event: an interrupt ends its own wait alone, also one that has not begun") {
  LoopPool loops{1};
  loops.start();
  run_on(loops, [](asio::any_io_executor loop) -> Task<void> {
    Event event{loop};
    Interrupt early;
    early.set();
    CHECK_FALSE(co_await event.wait(event.version(), 1h, early));
    Interrupt late;
    bool waits = false;
    spawn(loop, "interrupts", [](Interrupt& of, const bool& begun) -> Task<void> {
      co_await until([&begun] { return begun; });
      of.set();
    }(late, waits));
    waits = true;  // nobody else has a turn before the wait has begun
    CHECK_FALSE(co_await event.wait(event.version(), 1h, late));
    CHECK(late.is_set());
  }(loops.loop(0)));
}

TEST_CASE("event: one that is destroyed wakes those who wait") {
  LoopPool loops{1};
  loops.start();
  run_on(loops, [](asio::any_io_executor loop) -> Task<void> {
    bool waiting = false;
    bool woken = false;
    {
      Event event{loop};
      spawn(loop, "waits", [](Event& of, bool& began, bool& flag) -> Task<void> {
        began = true;
        co_await of.wait(of.version(), 1h);
        flag = true;
      }(event, waiting, woken));
      co_await until([&waiting] { return waiting; });
      CHECK_FALSE(woken);
    }
    co_await until([&woken] { return woken; });
  }(loops.loop(0)));
}

TEST_CASE("sleep_for and event waits end when the one who waits is cancelled") {
  LoopPool loops{1};
  loops.start();
  run_on(loops, [](asio::any_io_executor loop) -> Task<void> {
    using namespace asio::experimental::awaitable_operators;
    Event event{loop};
    co_await (sleep_for(1h) || turn());
    co_await (event.wait(event.version(), 1h) || turn());
    CHECK_FALSE(co_await event.wait(event.version(), 1ms));  // its limit is what is tested
  }(loops.loop(0)));
}
