#include "edge/nginx/cache_purge.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <optional>

#include "edge/media_path.h"
#include "edge/nginx/shared.h"

extern "C" {
extern ngx_module_t ngx_http_proxy_module;
}

namespace ribalta::edge {
namespace {

namespace fs = std::filesystem;

/// nginx's header, its key (docs: at most a path of 256, a query of ours, a generation), and room.
constexpr std::size_t kHeadBytes = 2'048;
constexpr std::string_view kKeyMark{"\nKEY: "};
/// Behind viewers, in what a disk and a CPU do first.
constexpr int kNice = 10;

using Hash = std::array<u_char, NGX_HTTP_CACHE_KEY_LEN>;

/// A file's name is its key's hash in hex; anything else is a file that is being written.
std::optional<Hash> hash_of(const std::string& name) {
  Hash hash{};
  if (name.size() != 2 * hash.size()) return std::nullopt;
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const ngx_int_t byte = ngx_hextoi(reinterpret_cast<u_char*>(const_cast<char*>(name.data())) + 2 * i, 2);
    if (byte == NGX_ERROR) return std::nullopt;
    hash[i] = static_cast<u_char>(byte);
  }
  return hash;
}

std::string key_of(const fs::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return {};  // nginx removed it meanwhile
  std::array<char, kHeadBytes> bytes;
  const ssize_t got = ::pread(descriptor, bytes.data(), bytes.size(), 0);
  ::close(descriptor);
  if (got <= static_cast<ssize_t>(sizeof(ngx_http_file_cache_header_t))) return {};
  std::string_view text{bytes.data(), static_cast<std::size_t>(got)};
  text.remove_prefix(sizeof(ngx_http_file_cache_header_t));
  if (!text.starts_with(kKeyMark)) return {};
  text.remove_prefix(kKeyMark.size());
  return std::string{text.substr(0, text.find('\n'))};
}

/// The cache's own entry of that file, as ngx_http_file_cache_lookup finds it. Under the zone's lock.
ngx_http_file_cache_node_t* find_node(ngx_http_file_cache_t& cache, const Hash& hash) {
  ngx_rbtree_key_t first = 0;
  ngx_memcpy(&first, hash.data(), sizeof(first));
  ngx_rbtree_node_t* node = cache.sh->rbtree.root;
  while (node != cache.sh->rbtree.sentinel) {
    if (first != node->key) {
      node = first < node->key ? node->left : node->right;
      continue;
    }
    auto* entry = reinterpret_cast<ngx_http_file_cache_node_t*>(node);
    const int order = ngx_memcmp(hash.data() + sizeof(first), entry->key, hash.size() - sizeof(first));
    if (order == 0) return entry;
    node = order < 0 ? node->left : node->right;
  }
  return nullptr;
}

/// The entry stays, as one without a file: nginx lets it go like any that nobody asks for.
void forget_file(ngx_http_file_cache_t& cache, const Hash& hash) {
  ngx_shmtx_lock(&cache.shpool->mutex);
  ngx_http_file_cache_node_t* entry = find_node(cache, hash);
  if (entry != nullptr && entry->exists != 0) {
    cache.sh->size -= entry->fs_size;
    entry->fs_size = 0;
    entry->exists = 0;
    entry->updating = 0;
  }
  ngx_shmtx_unlock(&cache.shpool->mutex);
}

}  // namespace

CachePurge::CachePurge(std::vector<ngx_http_file_cache_t*> caches, std::uint64_t& removed)
    : caches_(std::move(caches)), removed_(removed) {
  // nginx' signals are for its own thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread{[this] { run(); }};
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

CachePurge::~CachePurge() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CachePurge::want(const Tag& tag) {
  {
    const std::scoped_lock lock{mutex_};
    std::string text = tag_text(tag);
    if (wishes_.size() >= kPurgeTagsMax && !wishes_.contains(text)) return;
    wishes_[std::move(text)] = {.wanted = Clock::now()};
  }
  changed_.notify_all();
}

CachePurge::Clock::time_point CachePurge::due() const {
  Clock::time_point due = Clock::now() + std::chrono::hours{1};
  for (const auto& [tag, wish] : wishes_) {
    due = std::min(due, wish.looked_for ? wish.wanted + kPurgeAgainAfter : wish.wanted);
  }
  return due;
}

void CachePurge::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);  // of this thread alone
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    const Clock::time_point begun = Clock::now();
    if (const Clock::time_point next = due(); next > begun) {
      changed_.wait_until(lock, next);
      continue;
    }
    std::set<std::string> tags;
    for (auto& [tag, wish] : wishes_) {
      tags.insert(tag);
      wish.looked_for = true;
    }
    lock.unlock();
    for (ngx_http_file_cache_t* cache : caches_) {
      guarded(ngx_cycle->log, [&] { look(*cache, tags); });
    }
    lock.lock();
    std::erase_if(wishes_, [begun](const auto& entry) {
      return entry.second.looked_for && entry.second.wanted + kPurgeAgainAfter <= begun;
    });
  }
}

void CachePurge::look(ngx_http_file_cache_t& cache, const std::set<std::string>& tags) {
  std::error_code error;
  const fs::path folder{std::string{view(cache.path->name)}};
  for (fs::recursive_directory_iterator file{folder, error}, end; !error && file != end; file.increment(error)) {
    {
      const std::scoped_lock lock{mutex_};
      if (stopping_) return;
    }
    const std::optional<Hash> hash = hash_of(file->path().filename().string());
    if (!hash) continue;
    const std::string key = key_of(file->path());  // `tag` looks into it
    const Result<Tag> tag = tag_of_cache_key(key);
    if (!tag || !tags.contains(tag_text(*tag))) continue;
    forget_file(cache, *hash);
    if (::unlink(file->path().c_str()) == 0) count(removed_);
  }
}

std::vector<ngx_http_file_cache_t*> proxy_caches(ngx_cycle_t* cycle) {
  std::vector<ngx_http_file_cache_t*> caches;
  for (ngx_list_part_t* part = &cycle->shared_memory.part; part != nullptr; part = part->next) {
    auto* zones = static_cast<ngx_shm_zone_t*>(part->elts);
    for (ngx_uint_t i = 0; i < part->nelts; ++i) {
      if (zones[i].tag == &ngx_http_proxy_module && zones[i].data != nullptr) {
        caches.push_back(static_cast<ngx_http_file_cache_t*>(zones[i].data));
      }
    }
  }
  return caches;
}

}  // namespace ribalta::edge
