// From one loop to another and back: a stream lives on one loop, connections are accepted on any.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/async.h"

namespace ribalta::packager {

/// Awaits `task` on `loop`, and resumes on the caller's; where they are the same, there is no hop. What it refers to
/// outlives the call, since the caller waits.
template <class T>
Task<T> run_task_on(asio::any_io_executor loop, Task<T> task) {
  const asio::any_io_executor here = co_await asio::this_coro::executor;
  if (here == loop) co_return co_await std::move(task);
  std::optional<T> out;
  const auto carry = [](Task<T> carried, std::optional<T>& result) -> Task<void> {
    result.emplace(co_await std::move(carried));
  };
  Task<void> hop = carry(std::move(task), out);
  co_await asio::co_spawn(loop, std::move(hop), asio::use_awaitable);
  co_return std::move(*out);
}

/// Calls `work` (no coroutine) on `loop`.
template <class Work>
auto run_on(asio::any_io_executor loop, Work work) -> Task<std::invoke_result_t<Work>> {
  using T = std::invoke_result_t<Work>;
  const auto call = [](Work called) -> Task<T> { co_return called(); };
  Task<T> task = call(std::move(work));
  co_return co_await run_task_on<T>(std::move(loop), std::move(task));
}

}  // namespace ribalta::packager
