// For tests: a store that hands everything on to another, for those that change one thing about it.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "core/store/object_store.h"

namespace ribalta::testing {

class PassingStore : public ObjectStore {
 public:
  explicit PassingStore(std::unique_ptr<ObjectStore> store) : store_(std::move(store)) {}

  Result<void> put(std::string_view key, ByteSpan bytes) override { return store_->put(key, bytes); }
  Result<void> put_durable(std::string_view key, ByteSpan bytes) override { return store_->put_durable(key, bytes); }
  Result<void> put_file_durable(std::string_view key, const std::filesystem::path& file) override {
    return store_->put_file_durable(key, file);
  }
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override { return store_->create(key); }
  Result<Bytes> get(std::string_view key, std::uint64_t bytes_max) const override {
    return store_->get(key, bytes_max);
  }
  Result<std::unique_ptr<ObjectReader>> open(std::string_view key) const override { return store_->open(key); }
  Result<std::filesystem::path> local_path(std::string_view key) const override { return store_->local_path(key); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix) const override { return store_->list(prefix); }
  Result<void> remove(std::string_view key) override { return store_->remove(key); }
  Result<void> remove_all(std::string_view prefix) override { return store_->remove_all(prefix); }

 private:
  std::unique_ptr<ObjectStore> store_;
};

}  // namespace ribalta::testing
