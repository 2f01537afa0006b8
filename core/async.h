// The event loops and the pool for what blocks. Asio's coroutines, without Beast (which stays in core/http).
// Name a value, then await on it: compilers have got temporaries in awaiting statements wrong.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/result.h"

namespace ribalta {

namespace asio = boost::asio;
template <class T = void>
using Task = asio::awaitable<T>;
/// `auto [error, n] = co_await socket.async_read_some(buffer, kTuple);` – no exceptions for what the world gets wrong.
inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// A few threads, each with an io_context of its own; a stream lives on one of them. One loop a core.
class LoopPool {
 public:
  explicit LoopPool(std::size_t threads);
  ~LoopPool();
  LoopPool(const LoopPool&) = delete;
  LoopPool& operator=(const LoopPool&) = delete;

  [[nodiscard]] std::size_t size() const;
  /// The same number gives the same loop: shard by a stream's hash, so that its state needs no lock.
  asio::any_io_executor loop(std::size_t shard) const;
  /// Starts the threads; returns at once.
  void start();
  /// Lets the loops run out of work until the deadline, then stops them; joins.
  void stop(std::chrono::milliseconds deadline);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Starts a coroutine that nobody waits for. An exception that leaves it is logged with its name and ends only it: for
/// one connection or one request, whose end its peer sees.
void spawn(const asio::any_io_executor& loop, std::string_view name, Task<void> task);

/// Before what ended by an exception begins again: this, doubled each time up to the second.
inline constexpr std::chrono::milliseconds kBeginAgainFirst{100};
inline constexpr std::chrono::milliseconds kBeginAgainMax{5'000};
/// What ran for so long before it threw begins at the first pause again.
inline constexpr std::chrono::milliseconds kBeginAgainForget{60'000};
/// So many exceptions in a row of something essential (within some 3 s) are not going to stop by themselves.
inline constexpr int kEssentialFailuresMax = 6;

/// Starts what goes on for as long as the thing that it belongs to (one stream's passes, one upload's report), where
/// all that must last is kept outside of it. An exception that leaves it is logged and counted, and after a pause
/// `begin` makes it anew, for ever; its ordinary end is its end.
void spawn_lasting(const asio::any_io_executor& loop, std::string_view name, std::function<Task<void>()> begin);

/// The same for what the daemon is of no use without (an acceptor, a sweep, the loop that leases jobs). After
/// kEssentialFailuresMax exceptions in a row it is given up, and the daemon with it: see on_essential_failure.
void spawn_essential(const asio::any_io_executor& loop, std::string_view name, std::function<Task<void>()> begin);

/// What happens then, process-wide: called once for each coroutine given up, on its loop, with its name. daemon_main
/// says so at /healthz, drains, and exits for its supervisor to start it afresh. Without one, it is only logged.
void on_essential_failure(std::function<void(std::string_view name)> handler);

/// Two pools for what blocks (disks, SQL): no event loop waits for them. Each has kBlockingThreads, so that what must
/// go on (live segments, heartbeats, leases) never stands behind a crowd of viewers and visitors.
enum class Lane : std::uint8_t {
  /// Somebody begins to wait for an answer. With kBlockingWaitingMax in line: unavailable, which is a 503.
  request,
  /// The same pool, for what was let in and is under way (a segment half sent, an upload's body): not refused. Its line
  /// is bounded by the connections, each of which waits for its own work.
  admitted,
  /// The other pool, for loops and daemons. Each has one piece of work in line and waits for it: that bounds the line.
  background,
};
inline constexpr std::size_t kBlockingPools = 2;
inline constexpr std::size_t kBlockingThreads = 4;  ///< of each pool
/// At 5 ms for a commit and its sync, the last of so many waits for more than a second: better to hear it at once.
inline constexpr std::size_t kBlockingWaitingMax = 256;

template <class T>
concept IsResult = requires { typename T::error_type; } && std::is_same_v<typename T::error_type, Error>;

/// @return false: the lane is full, and nothing was run.
Task<bool> run_blocking_void(Lane lane, std::function<void()> work);

/// Runs `work` on its pool's threads and resumes on the caller's loop. Work never waits for other work of a pool: with
/// as many such as there are threads, all would wait for ever.
/// @error unavailable: the line of Lane::request is full. Such work therefore returns a Result.
template <Lane lane = Lane::request, class Work>
  requires(lane != Lane::request || IsResult<std::invoke_result_t<Work>>)
auto run_blocking(Work work) -> Task<std::invoke_result_t<Work>> {
  using T = std::invoke_result_t<Work>;
  std::function<void()> call;
  if constexpr (std::is_void_v<T>) {
    call = [&work] { work(); };
    co_await run_blocking_void(lane, std::move(call));
  } else {
    std::optional<T> out;
    call = [&out, &work] { out.emplace(work()); };
    const bool ran = co_await run_blocking_void(lane, std::move(call));
    if constexpr (lane == Lane::request) {
      if (!ran) co_return fail(Code::unavailable, "too much waits for disk and database");
    }
    co_return std::move(*out);
  }
}

/// For /metrics.
struct AsyncCounts {
  struct OfPool {
    std::size_t waiting = 0;
    std::size_t running = 0;
    std::uint64_t refused = 0;
  };
  std::array<OfPool, kBlockingPools> pools;  ///< requests, background
  std::uint64_t begun_again = 0;             ///< coroutines that ended by an exception and were begun again
};
AsyncCounts async_counts();

/// Calls `end` when it goes out of scope, however: by a return, an exception, or the end of a coroutine's frame.
template <class End>
class [[nodiscard]] AtEnd {
 public:
  explicit AtEnd(End end) : end_(std::move(end)) {}
  ~AtEnd() { end_(); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  End end_;
};

Task<void> sleep_for(std::chrono::milliseconds time);
/// Returns at once where it has passed.
Task<void> sleep_until(std::chrono::steady_clock::time_point time);

/// Ends one wait early, from the same loop: a wait that goes on now, or the next one that is given it.
class Interrupt {
 public:
  Interrupt() = default;
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  void set();
  [[nodiscard]] bool is_set() const { return set_; }

 private:
  friend class Event;
  asio::steady_timer* timer_ = nullptr;
  bool set_ = false;
};

/// Wakes every coroutine that waits on one loop; a flag that was set before the wait is not lost between `version` and
/// `wait`. All calls on the same loop.
class Event {
 public:
  explicit Event(asio::any_io_executor loop);
  ~Event();
  Event(Event&&) noexcept;
  Event& operator=(Event&&) noexcept;
  void notify_all();
  [[nodiscard]] std::uint64_t version() const;
  /// Returns once notify_all was called after `seen` was read from version(), or after `limit` (false).
  Task<bool> wait(std::uint64_t seen, std::chrono::milliseconds limit);
  /// The same, and returns early (false) once `interrupt` was set.
  Task<bool> wait(std::uint64_t seen, std::chrono::milliseconds limit, Interrupt& interrupt);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace ribalta
