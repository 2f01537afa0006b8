// The event loops and the pool for what blocks. Asio's coroutines, without Beast (which stays in core/http).
// Name a value, then await on it: compilers have got temporaries in awaiting statements wrong.
#pragma once

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

/// Starts a coroutine that nobody waits for. An exception that leaves it is logged with its name and ends only it.
void spawn(const asio::any_io_executor& loop, std::string_view name, Task<void> task);

/// Runs `work` on the disk pool (a process-wide pool of kBlockingThreads) and resumes on the caller's loop. For disks,
/// SQL and hashes: no event loop waits for them.
inline constexpr std::size_t kBlockingThreads = 4;
Task<void> run_blocking_void(std::function<void()> work);
template <class Work>
auto run_blocking(Work work) -> Task<std::invoke_result_t<Work>> {
  using T = std::invoke_result_t<Work>;
  std::optional<T> out;
  std::function<void()> call = [&out, &work] { out.emplace(work()); };
  co_await run_blocking_void(std::move(call));
  co_return std::move(*out);
}

Task<void> sleep_for(std::chrono::milliseconds time);

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
