#include "edge/nginx/shared.h"

#include <span>

namespace ribalta::edge {
namespace {
constexpr std::uint64_t kSharedLayout = 0x5249424100010002;  // changes with Shared or Counters
}

ngx_int_t init_zone(ngx_shm_zone_t* zone, void* earlier) {
  auto* pool = reinterpret_cast<ngx_slab_pool_t*>(zone->shm.addr);
  if (earlier != nullptr) zone->data = earlier;
  if (earlier == nullptr && zone->shm.exists != 0) zone->data = pool->data;
  if (zone->data != nullptr) {
    auto* shared = static_cast<Shared*>(zone->data);
    if (shared->layout == kSharedLayout && AnswerTable::adopt(shared->answers) != nullptr) return NGX_OK;
    ngx_log_error(
        NGX_LOG_EMERG, zone->shm.log, 0,
        "ribalta: the running module keeps its answers in another form: restart instead of reloading, or give "
        "ribalta_answers_zone another size");
    return NGX_ERROR;
  }

  auto* shared = static_cast<Shared*>(ngx_slab_calloc(pool, sizeof(Shared)));
  if (shared == nullptr) return NGX_ERROR;
  // The table takes what is left but a few pages, which the slab allocator keeps for itself.
  const std::size_t table_bytes = (pool->pfree > 4 ? pool->pfree - 4 : 0) * ngx_pagesize;
  auto* memory = static_cast<std::byte*>(ngx_slab_calloc(pool, table_bytes));
  if (memory == nullptr) return NGX_ERROR;
  shared->answers = AnswerTable::create(std::span{memory, table_bytes});
  if (shared->answers == nullptr) return NGX_ERROR;
  shared->layout = kSharedLayout;
  pool->data = shared;
  zone->data = shared;
  return NGX_OK;
}

template <class Work>
auto Zone::locked(Work&& work) {
  struct Lock {
    explicit Lock(ngx_shmtx_t* mutex) : mutex_(mutex) { ngx_shmtx_lock(mutex_); }
    ~Lock() { ngx_shmtx_unlock(mutex_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ngx_shmtx_t* mutex_;
  };
  const Lock lock{&reinterpret_cast<ngx_slab_pool_t*>(zone_->shm.addr)->mutex};
  return work(*shared().answers);
}

Answer Zone::find(MediaKind kind, std::string_view id) {
  return locked([&](AnswerTable& table) { return table.find(kind, id, now_ms()); });
}

Answer Zone::store(MediaKind kind, std::string_view id, std::optional<std::string_view> value, std::uint64_t asked_ms) {
  return locked([&](AnswerTable& table) {
    table.store(kind, id, value, asked_ms, now_ms());
    return table.find(kind, id, now_ms());
  });
}

Answer Zone::store_unknown(MediaKind kind, std::string_view id) {
  return locked([&](AnswerTable& table) {
    table.store_unknown(kind, id, now_ms());
    return table.find(kind, id, now_ms());
  });
}

void Zone::purge(const Tag& tag) {
  // The wall clock, so that a generation is not used again after the machine or the zone began anew.
  const ngx_time_t* now = ngx_timeofday();
  const std::uint64_t generation = static_cast<std::uint64_t>(now->sec) * 1000 + now->msec;
  locked([&](AnswerTable& table) { table.purge(tag.kind, tag.id, generation, now_ms()); });
}

void Zone::expire_all() {
  locked([](AnswerTable& table) { table.expire_all(now_ms()); });
}

std::size_t Zone::answers_used() {
  return locked([](AnswerTable& table) { return table.used(); });
}

void Zone::set_redis_connected(bool connected) {
  if (ngx_worker >= kWorkersMax) return;
  Shared::Worker& mine = shared().workers[ngx_worker];
  const auto pid = static_cast<std::uint64_t>(ngx_pid);
  // After a reload two workers share a number: the one that leaves must not speak for the one that came.
  if (!connected && __atomic_load_n(&mine.pid, __ATOMIC_RELAXED) != pid) return;
  __atomic_store_n(&mine.pid, pid, __ATOMIC_RELAXED);
  __atomic_store_n(&mine.connected, connected ? 1 : 0, __ATOMIC_RELAXED);
}

std::size_t Zone::redis_connected() const {
  std::size_t connected = 0;
  for (const Shared::Worker& worker : shared().workers)
    connected += __atomic_load_n(&worker.connected, __ATOMIC_RELAXED);
  return connected;
}

}  // namespace ribalta::edge
