#include "core/async.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cassert>
#include <condition_variable>
#include <limits>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/log.h"

namespace ribalta {
namespace {

/// Timers overflow when "for ever" is added to now.
constexpr std::chrono::milliseconds kWaitMax = std::chrono::hours{24 * 365};

class Loop : public asio::io_context {
 public:
  Loop() : asio::io_context(1) {}
  /// Destroys what still waits, while the loop itself stays: a coroutine of one loop may hold a socket of another.
  void end() { shutdown(); }
};

/// Threads for what blocks, and a count of what runs there, so that no loop is destroyed under a job that will post to
/// it.
class BlockingPool {
 public:
  /// A place in line, taken before anything is made for the work; given back with the work, also when that never ran.
  class Place {
   public:
    explicit Place(BlockingPool& pool) : pool_(&pool) {}
    Place(Place&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), running_(std::exchange(other.running_, false)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (pool_ != nullptr) pool_->leave(running_);
    }
    void begin() {
      const std::scoped_lock lock{pool_->mutex_};
      running_ = true;
      --pool_->counts_.waiting;
      ++pool_->counts_.running;
    }

   private:
    BlockingPool* pool_;
    bool running_ = false;
  };

  std::optional<Place> enter(std::size_t waiting_max) {
    const std::scoped_lock lock{mutex_};
    if (counts_.waiting >= waiting_max) {
      ++counts_.refused;
      return std::nullopt;
    }
    ++counts_.waiting;
    return std::optional<Place>{std::in_place, *this};
  }
  template <class Job>
  void run(Place place, Job job) {
    asio::post(pool_, [place = std::move(place), run_job = std::optional<Job>{std::move(job)}]() mutable {
      place.begin();
      (*run_job)();
      run_job.reset();  // what it held is gone before anybody is told that it is done
      const Place done{std::move(place)};
    });
  }
  void wait_idle() {
    std::unique_lock lock{mutex_};
    idle_.wait(lock, [this] { return counts_.waiting + counts_.running == 0; });
  }
  AsyncCounts::OfPool counts() {
    const std::scoped_lock lock{mutex_};
    return counts_;
  }

 private:
  void leave(bool running) {
    const std::scoped_lock lock{mutex_};
    --(running ? counts_.running : counts_.waiting);
    idle_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  AsyncCounts::OfPool counts_;
  asio::thread_pool pool_{kBlockingThreads};
};

BlockingPool& blocking_pool(Lane lane) {
  static BlockingPool requests;
  static BlockingPool background;
  return lane == Lane::background ? background : requests;
}

/// What a process does about essential coroutines that it has to give up, and how often coroutines began again.
struct Failures {
  std::mutex mutex;
  std::function<void(std::string_view)> handler;
  std::atomic<std::uint64_t> begun_again{0};
};
Failures& failures() {
  static Failures kept;
  return kept;
}

void give_up(std::string_view name) {
  std::function<void(std::string_view)> handler;
  {
    const std::scoped_lock lock{failures().mutex};
    handler = failures().handler;
  }
  log_error("something essential can't be kept running", {{"coroutine", name}});
  if (handler) handler(name);
}

std::string describe(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "not a std::exception";
  }
}

}  // namespace

struct LoopPool::State {
  std::vector<std::unique_ptr<Loop>> loops;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable ended;
  std::size_t running = 0;
};

LoopPool::LoopPool(std::size_t threads) : state_(std::make_unique<State>()) {
  assert(threads > 0);
  for (std::size_t i = 0; i < threads; ++i) {
    state_->loops.push_back(std::make_unique<Loop>());
    state_->guards.emplace_back(state_->loops.back()->get_executor());
  }
}

LoopPool::~LoopPool() {
  stop(std::chrono::milliseconds{0});
  for (const auto& loop : state_->loops) loop->end();
}

std::size_t LoopPool::size() const { return state_->loops.size(); }

asio::any_io_executor LoopPool::loop(std::size_t shard) const {
  return state_->loops[shard % state_->loops.size()]->get_executor();
}

void LoopPool::start() {
  assert(state_->threads.empty());
  state_->running = state_->loops.size();
  for (const auto& loop : state_->loops) {
    state_->threads.emplace_back([state = state_.get(), io = loop.get()] {
      io->run();
      const std::scoped_lock lock{state->mutex};
      --state->running;
      state->ended.notify_all();
    });
  }
}

void LoopPool::stop(std::chrono::milliseconds deadline) {
  state_->guards.clear();
  {
    std::unique_lock lock{state_->mutex};
    state_->ended.wait_for(lock, std::min(deadline, kWaitMax), [this] { return state_->running == 0; });
  }
  for (const auto& loop : state_->loops) loop->stop();
  for (std::thread& thread : state_->threads) thread.join();
  state_->threads.clear();
  for (const Lane lane : {Lane::request, Lane::background})
    blocking_pool(lane).wait_idle();  // work refers to the coroutines that wait for it, and to what those refer to
}

namespace {

/// Runs what `begin` makes, again and again until it ends without an exception; after `failures_max` in a row (0:
/// never) it is given up.
Task<void> keep(std::string name, std::function<Task<void>()> begin, int failures_max) {
  int in_row = 0;
  std::chrono::milliseconds pause = kBeginAgainFirst;
  while (true) {
    const auto begun = std::chrono::steady_clock::now();
    std::exception_ptr thrown;
    try {
      Task<void> task = begin();
      co_await std::move(task);
    } catch (...) {
      thrown = std::current_exception();
    }
    if (!thrown) co_return;
    if (std::chrono::steady_clock::now() - begun >= kBeginAgainForget) {
      in_row = 0;
      pause = kBeginAgainFirst;
    }
    ++in_row;
    log_error("coroutine ended by an exception",
              {{"coroutine", name}, {"what", describe(thrown)}, {"in_a_row", in_row}});
    if (in_row == failures_max) {
      give_up(name);
      co_return;
    }
    failures().begun_again.fetch_add(1);
    co_await sleep_for(pause);
    pause = std::min(pause * 2, kBeginAgainMax);
  }
}

}  // namespace

void spawn(const asio::any_io_executor& loop, std::string_view name, Task<void> task) {
  asio::co_spawn(loop, std::move(task), [kept = std::string{name}](const std::exception_ptr& thrown) {
    if (thrown) log_error("coroutine ended by an exception", {{"coroutine", kept}, {"what", describe(thrown)}});
  });
}

void spawn_lasting(const asio::any_io_executor& loop, std::string_view name, std::function<Task<void>()> begin) {
  spawn(loop, name, keep(std::string{name}, std::move(begin), 0));
}

void spawn_essential(const asio::any_io_executor& loop, std::string_view name, std::function<Task<void>()> begin) {
  spawn(loop, name, keep(std::string{name}, std::move(begin), kEssentialFailuresMax));
}

void on_essential_failure(std::function<void(std::string_view name)> handler) {
  const std::scoped_lock lock{failures().mutex};
  failures().handler = std::move(handler);
}

AsyncCounts async_counts() {
  AsyncCounts counts;
  counts.pools = {blocking_pool(Lane::request).counts(), blocking_pool(Lane::background).counts()};
  counts.begun_again = failures().begun_again;
  return counts;
}

Task<bool> run_blocking_void(Lane lane, std::function<void()> work) {
  BlockingPool& pool = blocking_pool(lane);
  constexpr std::size_t kNoMax = std::numeric_limits<std::size_t>::max();
  std::optional<BlockingPool::Place> place = pool.enter(lane == Lane::request ? kBlockingWaitingMax : kNoMax);
  if (!place) co_return false;
  auto initiate = [&pool, &place](auto handler, std::function<void()> job) {
    auto executor = asio::get_associated_executor(handler);
    // The guard keeps the caller's loop running until the answer is posted to it.
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    auto guard = asio::make_work_guard(executor);
    auto call = [shared, run_job = std::move(job), guard = std::move(guard)]() mutable {
      std::exception_ptr thrown;
      try {
        run_job();
      } catch (...) {
        thrown = std::current_exception();
      }
      asio::post(guard.get_executor(), [resume = std::move(*shared), thrown]() mutable { resume(thrown); });
    };
    pool.run(std::move(*place), std::move(call));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
      std::move(initiate), asio::use_awaitable, std::move(work));
  co_return true;
}

Task<void> sleep_for(std::chrono::milliseconds time) {
  const asio::any_io_executor loop = co_await asio::this_coro::executor;
  asio::steady_timer timer{loop, std::min(time, kWaitMax)};
  co_await timer.async_wait(kTuple);
}

Task<void> sleep_until(std::chrono::steady_clock::time_point time) {
  const asio::any_io_executor loop = co_await asio::this_coro::executor;
  asio::steady_timer timer{loop, time};
  co_await timer.async_wait(kTuple);
}

struct Event::State {
  asio::any_io_executor loop;
  std::uint64_t version = 0;
  std::list<asio::steady_timer*> waiting;  ///< each lives in the frame of its waiter

  void wake() {
    ++version;
    for (asio::steady_timer* timer : waiting) timer->cancel();
  }
};

void Interrupt::set() {
  set_ = true;
  if (timer_ != nullptr) timer_->cancel();
}

Event::Event(asio::any_io_executor loop) : state_(std::make_shared<State>()) { state_->loop = std::move(loop); }
Event::~Event() {
  if (state_) state_->wake();
}
Event::Event(Event&&) noexcept = default;
Event& Event::operator=(Event&& other) noexcept {
  if (this != &other) {
    if (state_) state_->wake();
    state_ = std::move(other.state_);
  }
  return *this;
}

void Event::notify_all() { state_->wake(); }
std::uint64_t Event::version() const { return state_->version; }

Task<bool> Event::wait(std::uint64_t seen, std::chrono::milliseconds limit) {
  Interrupt never;
  co_return co_await wait(seen, limit, never);
}

Task<bool> Event::wait(std::uint64_t seen, std::chrono::milliseconds limit, Interrupt& interrupt) {
  const std::shared_ptr<State> state = state_;  // the Event may be gone when the wait ends
  if (state->version != seen || interrupt.set_) co_return state->version != seen;
  asio::steady_timer timer{state->loop, std::min(limit, kWaitMax)};
  struct Registered {
    State& state;
    Interrupt& interrupt;
    std::list<asio::steady_timer*>::iterator place;
    Registered(State& in, Interrupt& by, asio::steady_timer& of)
        : state(in), interrupt(by), place(in.waiting.insert(in.waiting.end(), &of)) {
      interrupt.timer_ = &of;
    }
    ~Registered() {
      interrupt.timer_ = nullptr;
      state.waiting.erase(place);
    }
    Registered(const Registered&) = delete;
    Registered& operator=(const Registered&) = delete;
  };
  const Registered registered{*state, interrupt, timer};
  co_await timer.async_wait(kTuple);
  co_return state->version != seen;
}

}  // namespace ribalta
