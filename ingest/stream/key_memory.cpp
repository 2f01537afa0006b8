#include "ingest/stream/key_memory.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "core/json.h"
#include "core/tokens.h"

namespace ribalta::ingest {
namespace {

struct KeysFile {
  std::vector<RememberedKey> keys;
};
BOOST_DESCRIBE_STRUCT(KeysFile, (), (keys))

}  // namespace

std::string KeyMemory::hash(std::string_view key) const { return hmac_sha256_hex(secret_, key); }

Result<void> KeyMemory::load() {
  std::ifstream in{file_, std::ios::binary};
  if (!in) return {};
  std::string text;
  text.resize(kKeysFileBytesMax + 1);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kKeysFileBytesMax) return fail(Code::limit, "remembered keys: bytes, more than", kKeysFileBytesMax);
  Result<KeysFile> file = json_read<KeysFile>(text);
  if (!file) return file.error().in("remembered keys");
  const std::scoped_lock lock{mutex_};
  for (RememberedKey& key : file->keys) {
    if (keys_.size() < kKeysMax) keys_.insert_or_assign(key.hash, std::move(key));
  }
  return {};
}

Result<void> KeyMemory::save() {
  KeysFile file;
  {
    const std::scoped_lock lock{mutex_};
    if (!std::exchange(changed_, false)) return {};
    for (const auto& [hash, key] : keys_) file.keys.push_back(key);
  }
  const std::string text = json_write(file);
  std::filesystem::path fresh = file_;
  fresh += ".new";
  std::ofstream out{fresh, std::ios::binary | std::ios::trunc};
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  std::error_code error;
  std::filesystem::permissions(fresh, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, error);
  if (out.good()) std::filesystem::rename(fresh, file_, error);
  if (out.good() && !error) return {};
  const std::scoped_lock lock{mutex_};
  changed_ = true;
  return fail(Code::io, "remembered keys: cannot be written");
}

void KeyMemory::remember(RememberedKey key) {
  const std::scoped_lock lock{mutex_};
  changed_ = true;
  const std::string hash = key.hash;
  keys_.insert_or_assign(hash, std::move(key));
  if (keys_.size() <= kKeysMax) return;
  const auto oldest = std::ranges::min_element(keys_, {}, [](const auto& entry) { return entry.second.seen_unix_ms; });
  keys_.erase(oldest);
}

std::optional<RememberedKey> KeyMemory::find(std::string_view hash, WallTime now) const {
  const std::scoped_lock lock{mutex_};
  const auto found = keys_.find(hash);
  if (found == keys_.end()) return std::nullopt;
  const std::int64_t age_ms = to_unix_ms(now) - found->second.accepted_unix_ms;
  if (age_ms < 0 || age_ms > std::chrono::milliseconds{kKeyLifetime}.count()) return std::nullopt;
  return found->second;
}

void KeyMemory::seen(std::string_view hash, WallTime now) {
  const std::scoped_lock lock{mutex_};
  const auto found = keys_.find(hash);
  if (found == keys_.end()) return;
  found->second.seen_unix_ms = to_unix_ms(now);
  found->second.publishing = true;
  changed_ = true;
}

void KeyMemory::stopped(std::string_view hash, WallTime now) {
  const std::scoped_lock lock{mutex_};
  const auto found = keys_.find(hash);
  if (found == keys_.end()) return;
  found->second.seen_unix_ms = to_unix_ms(now);
  found->second.publishing = false;
  changed_ = true;
}

void KeyMemory::forget(std::string_view hash) {
  const std::scoped_lock lock{mutex_};
  const auto found = keys_.find(hash);
  if (found == keys_.end()) return;
  keys_.erase(found);
  changed_ = true;
}

std::vector<RememberedKey> KeyMemory::lost() const {
  const std::scoped_lock lock{mutex_};
  std::vector<RememberedKey> lost;
  for (const auto& [hash, key] : keys_) {
    if (key.publishing) lost.push_back(key);
  }
  return lost;
}

}  // namespace ribalta::ingest
