#include "ingest/door/registry.h"

#include "ingest/door/connection.h"
#include "ingest/stream/publisher.h"

namespace ribalta::ingest {

void Registry::add(const std::string& key_hash, std::weak_ptr<Connection> connection) {
  const std::scoped_lock lock{mutex_};
  connections_.insert_or_assign(key_hash, std::move(connection));
}

void Registry::remove(const std::string& key_hash, const Connection* connection) {
  const std::scoped_lock lock{mutex_};
  const auto found = connections_.find(key_hash);
  if (found == connections_.end()) return;
  const std::shared_ptr<Connection> held = found->second.lock();
  if (!held || held.get() == connection) connections_.erase(found);
}

std::shared_ptr<Connection> Registry::find(const std::string& key_hash) const {
  const std::scoped_lock lock{mutex_};
  const auto found = connections_.find(key_hash);
  return found == connections_.end() ? nullptr : found->second.lock();
}

void Registry::leaving(const std::string& key_hash, std::weak_ptr<Publisher> publisher) {
  const std::scoped_lock lock{mutex_};
  leaving_.insert_or_assign(key_hash, std::move(publisher));
}

void Registry::left(const std::string& key_hash, const Publisher* publisher) {
  const std::scoped_lock lock{mutex_};
  const auto found = leaving_.find(key_hash);
  if (found == leaving_.end()) return;
  const std::shared_ptr<Publisher> held = found->second.lock();
  if (!held || held.get() == publisher) leaving_.erase(found);
}

std::shared_ptr<Publisher> Registry::find_leaving(const std::string& key_hash) const {
  const std::scoped_lock lock{mutex_};
  const auto found = leaving_.find(key_hash);
  return found == leaving_.end() ? nullptr : found->second.lock();
}

std::vector<std::shared_ptr<Connection>> Registry::all() const {
  const std::scoped_lock lock{mutex_};
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [hash, weak] : connections_) {
    if (std::shared_ptr<Connection> held = weak.lock()) all.push_back(std::move(held));
  }
  return all;
}

}  // namespace ribalta::ingest
