// Which connection publishes with which key, on which loop: so that a publisher who comes back takes the place of its
// own half-open connection. And which publishers have left without the control plane having heard it yet: whoever comes
// back at once waits for that instead of finding its own key busy. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/async.h"

namespace ribalta::ingest {

class Connection;
class Publisher;

class Registry {
 public:
  void add(const std::string& key_hash, std::weak_ptr<Connection> connection);
  /// Only when it is still that connection's.
  void remove(const std::string& key_hash, const Connection* connection);
  [[nodiscard]] std::shared_ptr<Connection> find(const std::string& key_hash) const;
  /// A publisher that is over, until `left`.
  void leaving(const std::string& key_hash, std::weak_ptr<Publisher> publisher);
  void left(const std::string& key_hash, const Publisher* publisher);
  [[nodiscard]] std::shared_ptr<Publisher> find_leaving(const std::string& key_hash) const;
  [[nodiscard]] std::vector<std::shared_ptr<Connection>> all() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Connection>> connections_;
  std::map<std::string, std::weak_ptr<Publisher>> leaving_;
};

}  // namespace ribalta::ingest
